"""The custom resource: CloudFormation gets one answer, whatever happens to the work."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import custom_resource
from sluice.migrate.custom_resource import NotACustomResourceEvent
from sluice.migrate.failures import MigrationFailed
from sluice.settings import SettingError
from tests.unit.fakes import http_server, load_event

SIGNATURE = "X-Amz-Signature=kn4ry"
IN_TIME = Deadline(60.0, lambda: 0.0)


class CloudFormation:
    """Takes the answers; the statuses that it gives first are those in `refuses`."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[dict[str, Any]] = []
        self.refuses: list[int] = []
        self.answered = threading.Event()

    def respond(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        if self.refuses:
            return self.refuses.pop(0), b""
        assert headers["Content-Type"] == ""  # it is not in what the URL's signature covers
        self.answers.append(json.loads(body))
        self.answered.set()
        return 200, b""

    def event(self, name: str = "migrate_create") -> dict[str, Any]:
        event: dict[str, Any] = load_event(name)
        return event | {"ResponseURL": f"{self.url}/answer?{SIGNATURE}"}


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    fake = CloudFormation()
    with http_server(fake.respond) as fake.url:
        yield fake


def the_answer(status: str, reason: str, data: Mapping[str, Any], name: str = "migrate_create") -> dict[str, Any]:
    event = load_event(name)
    return {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": "sluice-schema",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": "Schema",
        "Data": data,
    }


def raiser(error: Exception) -> Callable[[], Mapping[str, Any]]:
    def work() -> Mapping[str, Any]:
        raise error

    return work


def never() -> Mapping[str, Any]:
    raise AssertionError("there is no work to do")


def test_work_that_is_done_is_a_success_with_its_data(cloudformation: CloudFormation) -> None:
    data = custom_resource.answer(cloudformation.event(), "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    assert data == {"schema_version": 2}
    assert cloudformation.answers == [the_answer("SUCCESS", "", {"schema_version": 2})]


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_an_update_works_as_a_creation_does(request_type: str, cloudformation: CloudFormation) -> None:
    event = cloudformation.event() | {"RequestType": request_type}
    custom_resource.answer(event, "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    assert cloudformation.answers == [the_answer("SUCCESS", "", {"schema_version": 2})]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MigrationFailed("migration 0003_visits.sql, line 4: SQLSTATE 42601"),) * 2,
        (Outage("database: no connection, TimeoutError"),) * 2,
        (SettingError("DATABASE_HOST: must be set"),) * 2,
        (ValueError("a value"), "internal error, ValueError"),
        (Outage("x" * 5_000), "x" * 1_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_work_that_fails_is_a_failure_with_its_reason(
    error: Exception, reason: object, cloudformation: CloudFormation, output: Callable[[], str]
) -> None:
    assert custom_resource.answer(cloudformation.event(), "sluice-schema", IN_TIME, raiser(error)) == {}
    assert cloudformation.answers == [the_answer("FAILED", str(reason), {})]
    assert "a value" not in output()


def test_a_deletion_is_a_success_without_any_work(cloudformation: CloudFormation) -> None:
    event = cloudformation.event("migrate_delete")
    assert custom_resource.answer(event, "sluice-schema", IN_TIME, never) == {}
    reason = "nothing to delete: the data stays"
    assert cloudformation.answers == [the_answer("SUCCESS", reason, {}, "migrate_delete")]


def test_a_deletion_by_hand_does_no_work_either() -> None:
    assert custom_resource.answer(load_event("migrate_delete"), "sluice-schema", IN_TIME, never) == {}


def test_fields_that_are_missing_are_answered_empty(cloudformation: CloudFormation) -> None:
    event = {"ResponseURL": cloudformation.url}
    custom_resource.answer(event, "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    empty = {"StackId": "", "RequestId": "", "LogicalResourceId": ""}
    assert cloudformation.answers == [the_answer("SUCCESS", "", {"schema_version": 2}) | empty]


def test_an_event_that_comes_twice_is_answered_twice(cloudformation: CloudFormation) -> None:
    for _ in range(2):
        custom_resource.answer(cloudformation.event(), "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    assert cloudformation.answers == [the_answer("SUCCESS", "", {"schema_version": 2})] * 2


def test_work_that_hangs_is_answered_before_the_function_is_ended_and_once(cloudformation: CloudFormation) -> None:
    nearly_over = Deadline(0.01, lambda: 0.0)

    def hang() -> Mapping[str, Any]:
        assert cloudformation.answered.wait(60)
        return {"schema_version": 2}

    custom_resource.answer(cloudformation.event(), "sluice-schema", nearly_over, hang)
    assert cloudformation.answers == [the_answer("FAILED", "out of time", {})]


def test_a_function_that_is_in_the_middle_of_its_answer_does_not_return() -> None:
    order: list[str] = []
    answering, worked = threading.Event(), threading.Event()

    def respond(headers: Message, body: bytes) -> tuple[int, bytes]:
        answering.set()
        assert worked.wait(60)
        order.append(json.loads(body)["Reason"])
        return 200, b""

    def work() -> Mapping[str, Any]:
        assert answering.wait(60)
        worked.set()
        return {}

    with http_server(respond) as url:
        custom_resource.answer({"ResponseURL": url}, "sluice-schema", Deadline(0.01, lambda: 0.0), work)
        order.append("returned")
    assert order == ["out of time", "returned"]


def test_a_function_that_is_called_too_late_answers_all_the_same(cloudformation: CloudFormation) -> None:
    too_late = Deadline(0.0, lambda: 1.0)
    assert custom_resource.answer(cloudformation.event(), "sluice-schema", too_late, never) == {}
    assert cloudformation.answers == [the_answer("FAILED", "out of time", {})]


@pytest.mark.parametrize("name", ["migrate_create", "migrate_delete"])
@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1/no url?", "InvalidURL"), ("127.0.0.1/answer?", "ValueError"), ("x:", "URLError")],
)
def test_a_url_that_is_none_is_in_no_log_and_no_error(
    name: str, url: str, error: str, output: Callable[[], str]
) -> None:
    event = load_event(name) | {"ResponseURL": url + SIGNATURE}
    custom_resource.answer(event, "sluice-schema", IN_TIME, dict)
    logged = output()
    assert (error in logged, "kn4ry" in logged) == (True, False)


@pytest.mark.parametrize("event", [None, {}, {"key1": "value1"}])
def test_who_calls_by_hand_gets_what_the_work_returns(event: object) -> None:
    answer = custom_resource.answer(event, "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    assert answer == {"schema_version": 2}


@pytest.mark.parametrize("event", [[], ["kn4ry"], "kn4ry", "", 0, 1, True])
def test_an_event_that_is_no_object_is_refused_before_any_work(event: object) -> None:
    with pytest.raises(NotACustomResourceEvent, match=r"^event: must be an object$"):
        custom_resource.answer(event, "sluice-schema", IN_TIME, never)


@pytest.mark.parametrize("name", ["RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId"])
@pytest.mark.parametrize("value", [None, 1, ["kn4ry"], {"kn4ry": 1}])
def test_what_cloudformation_names_with_texts_must_be_texts(name: str, value: object) -> None:
    with pytest.raises(NotACustomResourceEvent, match=f"^event: {name} must be a text$"):
        custom_resource.answer(load_event("migrate_create") | {name: value}, "sluice-schema", IN_TIME, never)


def test_an_answer_that_is_not_taken_is_sent_again(cloudformation: CloudFormation, output: Callable[[], str]) -> None:
    cloudformation.refuses = [503, 500]
    custom_resource.answer(cloudformation.event(), "sluice-schema", IN_TIME, lambda: {"schema_version": 2})
    assert cloudformation.answers == [the_answer("SUCCESS", "", {"schema_version": 2})]
    warnings = [json.loads(line) for line in output().splitlines()]
    assert [(line["message"], line["error"], line["attempts_left"]) for line in warnings] == [
        ("no answer sent", "HTTPError", 2),
        ("no answer sent", "HTTPError", 1),
    ]


@pytest.mark.parametrize("refuses", [[], [403, 403, 403]], ids=["taken", "refused"])
@pytest.mark.parametrize("work", [dict, raiser(ValueError(SIGNATURE))], ids=["done", "failed"])
def test_the_url_is_in_no_log_and_no_answer(
    work: Callable[[], Mapping[str, Any]],
    refuses: list[int],
    cloudformation: CloudFormation,
    output: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    cloudformation.refuses = refuses
    custom_resource.answer(cloudformation.event(), "sluice-schema", IN_TIME, work)
    assert "kn4ry" not in output() + caplog.text + repr(cloudformation.answers)


def test_who_calls_without_cloudformation_gets_what_the_work_returns_or_raises() -> None:
    event = load_event("migrate_create")
    assert custom_resource.answer(event, "sluice-schema", IN_TIME, lambda: {"schema_version": 2}) == {
        "schema_version": 2
    }
    with pytest.raises(Outage):
        custom_resource.answer(event, "sluice-schema", IN_TIME, raiser(Outage("database: no connection")))
