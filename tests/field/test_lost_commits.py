"""The answer to COMMIT is lost: what was done is told as done, once, and what nobody knows is told as unknown."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.postgres.database import Database
from tests.field.environments import CALLER, Functions
from tests.integration.databases import TestDatabase, plain_address
from tests.integration.environment import VAULT_KEY
from tests.integration.messages import event, failures, login, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.faults.proxy import Proxy, proxy

pytestmark = pytest.mark.directly("it is about connections, which a pooler makes and ends by itself")

WHY = {"reason": "operations", "ticket": "OPS-1"}
PERSON = "5f1d7f0e-6a39-4c0e-8a8e-1f6b3f0f2c11"
COMMIT = b"COMMIT\0"


@pytest.fixture
def way(database: TestDatabase) -> Iterator[Proxy]:
    with proxy(plain_address(database.server)) as way:
        yield way


@pytest.fixture
def functions(
    database: TestDatabase, way: Proxy, fake_aws: FakeAws, settings: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Functions]:
    """All functions behind the proxy; a person's login is stored, and a letter is dead."""
    monkeypatch.setenv("DATABASE_PORT", str(way.port))
    functions = Functions(database, fake_aws, monkeypatch)
    assert functions.ingest.invoke(event(record(login(user_id=PERSON)))) == failures()
    functions.sqs.put("junk")
    functions.sqs.put(json.dumps(login()))
    yield functions
    functions.close()


def audited(database: TestDatabase) -> list[str]:
    return [action for (action,) in database.sql("SELECT action FROM audit_log ORDER BY id")]


IP = token("ip", login()["ip"])
# By name: the function, the request, and what the answer must tell.
CALLS: dict[str, tuple[str, dict[str, Any], Callable[[dict[str, Any]], object], list[str]]] = {
    "forget": (
        "forget",
        {"action": "forget", "subject": PERSON},
        lambda answer: (answer["rows"]["user_logins"], answer["values"]) == (1, 2),
        ["forget"],
    ),
    "reveal": ("reveal", {"tokens": [IP]}, lambda answer: answer["values"][0]["token"] == IP, ["reveal"]),
    "purge": (
        "dead_letters",
        {"action": "purge", "stream": "user_logins", "all": True},
        lambda answer: answer["purged"] == 2,
        ["purge"],
    ),
    "redrive": (
        "dead_letters",
        {"action": "redrive", "stream": "user_logins"},
        lambda answer: answer["redriven"] == 1,
        ["redrive"],
    ),
    "sweep": ("forget", {"action": "sweep"}, lambda answer: answer["values"] == 1, ["sweep"]),
    "rewrap": (
        "rekey",
        {"action": "rewrap"},
        lambda answer: answer == {"done": True, "changed": 1},
        ["rewrap", "rewrapped"],
    ),
    "add a key": ("rekey", {"action": "add_key"}, lambda answer: answer["current"] == 2, ["add_key", "key_added"]),
}


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("name", CALLS)
def test_what_was_done_is_told_once(
    name: str, is_warm: bool, way: Proxy, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, request, is_right, actions = CALLS[name]
    if name == "sweep":  # a value that no row uses
        functions.database.sql("UPDATE user_logins SET masked_ip = ''")
    if name == "rewrap":  # after a deployment with another key of KMS
        monkeypatch.setenv("VAULT_KEY_ID", f"{VAULT_KEY}-new")
    if is_warm:
        functions.call("rekey" if function == "rekey" else function, **_harmless(function))
    before = audited(functions.database)
    way.cut_answers_to(COMMIT, 1)
    answer = functions.call(function, **request, **WHY)
    assert is_right(answer), answer
    assert audited(functions.database) == [*before, *actions]
    assert functions.call("audit", action="verify")["intact"] is True


def _harmless(function: str) -> dict[str, Any]:
    """Return a call that has the environment connect."""
    calls: dict[str, dict[str, Any]] = {
        "forget": {"action": "forget", "subject": PERSON, "dry_run": True, **WHY},
        "reveal": {"tokens": [token("ip", "192.0.2.9")], **WHY},
        "dead_letters": {"action": "list", "stream": "user_logins"},
        "rekey": {"action": "status", **WHY},
    }
    return calls[function]


def test_each_step_of_a_rekeying_is_counted_once(
    way: Proxy, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions.call("rekey", action="add_key", **WHY)
    functions.fake_aws.secretsmanager.put_at.clear()  # long ago: nobody uses the first key any more
    transact_once = Database.transact_once

    def cut_once(database: Database, work: Any, deadline: Any) -> Any:
        way.cut_answers_to(COMMIT, 1)
        return transact_once(database, work, deadline)

    monkeypatch.setattr(Database, "transact_once", cut_once)
    answer = functions.call("rekey", action="rekey", **WHY)
    assert answer["done"] is True
    ((counts,),) = functions.database.sql("SELECT counts FROM audit_log WHERE action = 'rekeyed'")
    assert answer["changed"] == counts["changed"] > 0


def test_a_commit_that_did_not_arrive_is_done_again(way: Proxy, functions: Functions) -> None:
    functions.call("forget", **_harmless("forget"))
    halt = way.halt_at(COMMIT)
    with ThreadPoolExecutor(1) as thread:
        calling = thread.submit(functions.call, "forget", action="forget", subject=PERSON, **WHY)
        halt.wait()
        halt.cut()
        answer = calling.result()
    assert (answer["rows"]["user_logins"], answer["values"]) == (1, 2)
    assert audited(functions.database) == ["forget_dry_run", "forget"]


def test_what_nobody_knows_is_told_as_unknown(
    way: Proxy, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.cut_answers_to(COMMIT, 2)
    connect, calls = socket.create_connection, []

    def once(*arguments: Any) -> socket.socket:
        calls.append(arguments)
        if len(calls) > 1:
            raise ConnectionRefusedError
        return connect(*arguments)

    monkeypatch.setattr("sluice.postgres.database.socket.create_connection", once)
    called = {
        "requestContext": {"authorizer": {"iam": {"userArn": CALLER}}},
        "body": json.dumps({"action": "forget", "subject": PERSON, **WHY}),
    }
    response = functions._environment("forget").invoke(called, 10)
    monkeypatch.undo()
    assert response["statusCode"] == 503
    assert json.loads(response["body"]) == {
        "error": "outage",
        "detail": "database: the answer to COMMIT is lost; see in the audit log whether it was done",
    }
