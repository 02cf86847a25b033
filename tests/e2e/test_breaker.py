"""What every batch needs goes away under load: the queue stops, nothing is lost, and it starts again by itself."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Collected, eventually
from tests.e2e.test_queue_to_row import login
from tools.local.stack import STACK_NAME, Stack
from tools.testing.faults.aws import EmulatedAws, Fault, FaultyAws, Service, serving
from tools.testing.faults.postgres import FaultyPostgres

RECORD = f"/sluice/{STACK_NAME}/breaker/user_logins"
FUNCTIONS = ("LoginsIngestFunction", "BreakerFunction")
MESSAGES = 30
PROMISED_RECEIVES = 2  # in an outage, if no restart fails
FUNCTION_SECONDS = 8  # not 60: as long as a locked table is tried again
VISIBILITY_SECONDS = 10  # not 660: what failed comes again after it


@pytest.fixture(scope="module")
def aws(stack: Stack) -> Iterator[FaultyAws]:
    """The emulator, seen by ingest and breaker through a service that can fail; they are in more of a hurry, too."""
    functions = stack.client("lambda")
    names = [stack.physical_id(function) for function in FUNCTIONS]
    before = [functions.get_function_configuration(FunctionName=name) for name in names]
    with serving(EmulatedAws(stack.emulator.endpoint_url).answer) as aws:
        for name, settings in zip(names, before, strict=True):
            variables = settings["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": aws.endpoint_url}
            functions.update_function_configuration(
                FunctionName=name, Timeout=FUNCTION_SECONDS, Environment={"Variables": variables}
            )
        yield aws
        for name, settings in zip(names, before, strict=True):
            functions.update_function_configuration(
                FunctionName=name, Timeout=settings["Timeout"], Environment=settings["Environment"]
            )


@pytest.fixture
def strict_queue(stack: Stack) -> Iterator[None]:
    """Make a dead letter of what is received once more than is promised for an outage and then to be stored."""
    sqs, names = stack.client("sqs"), ["VisibilityTimeout", "RedrivePolicy"]
    before = sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=names)["Attributes"]
    redrive = json.loads(before["RedrivePolicy"]) | {"maxReceiveCount": PROMISED_RECEIVES + 1}
    strict = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes=strict)
    yield
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes={name: before[name] for name in names})
    stack.client("ssm").delete_parameter(Name=RECORD)  # as a tick does an hour later: the next trip is the first again


def mapping_state(stack: Stack) -> str:
    mappings = stack.client("lambda").list_event_source_mappings(FunctionName=stack.ingest_function)
    return str(mappings["EventSourceMappings"][0]["State"])


def record(stack: Stack) -> dict[str, Any]:
    found = stack.client("ssm").get_parameter(Name=RECORD)["Parameter"]["Value"]
    decoded: dict[str, Any] = json.loads(found)
    return decoded


def tick(stack: Stack) -> None:
    """Have the breaker look, as its schedule does every minute."""
    invoked = stack.client("lambda").invoke(FunctionName=stack.physical_id("BreakerFunction"), Payload=b"{}")
    assert "FunctionError" not in invoked


def rows(stack: Stack) -> int:
    with stack.connect() as connection:
        ((count,),) = connection.run("SELECT count(*) FROM user_logins") or [[0]]
    return int(count)


def new_environments(stack: Stack) -> None:
    """Have ingest start cold, as after any change of its configuration: what is warm asks AWS for nothing."""
    functions = stack.client("lambda")
    settings = functions.get_function_configuration(FunctionName=stack.ingest_function)["Environment"]
    settings["Variables"]["STARTED_COLD_BY"] = str(uuid.uuid4())
    functions.update_function_configuration(FunctionName=stack.ingest_function, Environment=settings)


type Broken = Callable[[Stack, FaultyAws], AbstractContextManager[None]]


@contextmanager
def postgresql_stopped(stack: Stack, aws: FaultyAws) -> Iterator[None]:
    server = FaultyPostgres(stack.postgres.folder, stack.postgres.port, stack.postgres.password)
    server.stop()
    try:
        yield
    finally:
        server.start_again()


def by_sql(broken: str, mended: str) -> Broken:
    @contextmanager
    def fault(stack: Stack, aws: FaultyAws) -> Iterator[None]:
        with stack.connect() as owner:
            owner.run(broken)
            try:
                yield
            finally:
                owner.run(mended)

    return fault


def by_service(service: Service) -> Broken:
    @contextmanager
    def fault(stack: Stack, aws: FaultyAws) -> Iterator[None]:
        aws.breaks(service, Fault.DOWN)
        new_environments(stack)
        try:
            yield
        finally:
            aws.heals()

    return fault


OUTAGES: dict[str, tuple[Broken, str | tuple[str, ...]]] = {
    "PostgreSQL stopped": (postgresql_stopped, "database: "),
    "right to insert revoked": (
        by_sql(
            f'REVOKE INSERT ON user_logins FROM "{STACK_NAME}-ingest"',
            f'GRANT INSERT ON user_logins TO "{STACK_NAME}-ingest"',
        ),
        "database: SQLSTATE 42501",
    ),
    "table locked for longer than is tried": (
        by_sql("BEGIN; LOCK TABLE user_logins", "COMMIT"),
        ("database: ", "out of time"),
    ),
    "Secrets Manager down": (by_service(Service.SECRETS_MANAGER), "secrets manager: "),
    "KMS down": (by_service(Service.KMS), "kms: "),
}


@pytest.mark.parametrize(("broken", "why"), OUTAGES.values(), ids=OUTAGES.keys())
def test_an_outage_costs_nothing_but_time_and_two_receives(
    broken: Broken, why: str | tuple[str, ...], stack: Stack, aws: FaultyAws, sent: Collected, strict_queue: None
) -> None:
    sent.clear()
    for number in range(MESSAGES):
        sent.send(login(user_id=f"before-{number}"))
    eventually(lambda: rows(stack) > 0, True)
    with broken(stack, aws):
        for number in range(MESSAGES):
            sent.send(login(user_id=f"during-{number}"))
        sent.send("junk", valid=False)
        eventually(lambda: mapping_state(stack), "Disabled")
        tripped = record(stack)
        assert (tripped["state"], tripped["stream"], tripped["trips"]) == ("open", "user_logins", 1)
        assert tripped["why"].startswith(why)
        tick(stack)
        assert mapping_state(stack) == "Disabled"  # what failed still does

    tick(stack)
    eventually(lambda: mapping_state(stack), "Enabled")
    assert record(stack)["state"] == "half_open"
    nothing: list[str] = []
    eventually(lambda: list(map(str, sent.check())), nothing)
    assert rows(stack) == 2 * MESSAGES
