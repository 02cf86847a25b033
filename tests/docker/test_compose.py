"""docker-compose.yml: up, healthy, initialised, down and up again with its data; and the documented commands on it."""

from collections.abc import Callable

import pytest

from tests.docker.conftest import Compose
from tests.e2e.conftest import eventually

pytestmark = pytest.mark.timeout(600)  # seconds: the first test makes the images


@pytest.mark.parametrize("emulator", ["localstack", "ministack"])
def test_make_up_returns_when_both_services_are_healthy(new_compose: Callable[[str], Compose], emulator: str) -> None:
    compose = new_compose(emulator)
    compose.make("up")
    assert compose.services() == {"postgres": "healthy", emulator: "healthy"}
    assert compose.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    compose.make("down")
    assert compose.services() == {}


def test_what_is_in_the_database_is_there_after_down_and_up(new_compose: Callable[[str], Compose]) -> None:
    compose = new_compose("ministack")
    compose.make("up")
    with compose.connect() as database:
        database.run("CREATE TABLE kept AS SELECT 'by the volume' AS what")
    compose.make("down")
    volumes = compose.docker("volume", "ls", "--quiet", "--filter", f"name={compose.name}_").split()
    assert f"{compose.name}_postgres" in volumes
    compose.make("up")
    with compose.connect() as database:
        assert database.run("SELECT what FROM kept") == [["by the volume"]]
    compose.make("down", "ARGS=--volumes")
    assert compose.docker("volume", "ls", "--quiet", "--filter", f"name={compose.name}_") == ""


def test_make_send_sends_logins_that_become_rows_or_rejections(deployed: Compose) -> None:
    said = deployed.make("send", "ARGS=--generate 40")
    told = "Sent 40 messages to the stream user_logins of the stack sluice: 40 records, 2 of them junk, 0 sent twice."
    assert told in said

    def found() -> tuple[int, int]:
        with deployed.connect() as database:
            ((rows,),) = database.run("SELECT count(*) FROM user_logins WHERE sent_at > now() - interval '1 hour'")
            ((refused,),) = database.run("SELECT count(*) FROM rejection WHERE stream = 'user_logins'")
        return rows, refused

    eventually(found, (38, 2))
