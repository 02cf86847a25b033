"""One environment of each function, kept warm, as they meet a database or a pooler that somebody else has set up."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from pg8000.native import Connection

from sluice.operators.dead_letters import listing, redrive, worker
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, login, record, row, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs

CALLER = "arn:aws:sts::000000000000:assumed-role/privacy/ann"


@dataclass
class Functions:
    """All functions but migrate, on one database."""

    database: TestDatabase
    fake_aws: FakeAws
    patch: pytest.MonkeyPatch
    _opened: dict[str, Environment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sqs = FakeSqs()
        self.patch.setattr(self.fake_aws, "sqs", self.sqs)
        for module in (listing, redrive, worker):
            self.patch.setattr(module, "time", self.sqs.clock)
        self.patch.setenv("DAILY_LIMIT", "100000")
        self.fake_aws.ssm.name_queues("tests", "user_logins", QUEUE, DEAD)

    @property
    def ingest(self) -> Environment:
        return self._environment("ingest")

    def call(self, function: str, **request: object) -> dict[str, Any]:
        """Call a function's URL, and return what it answers."""
        called = {"requestContext": {"authorizer": {"iam": {"userArn": CALLER}}}, "body": json.dumps(request)}
        response = self._environment(function).invoke(called, 60)
        assert response["statusCode"] == 200, response
        answer: dict[str, Any] = json.loads(response["body"])
        return answer

    def do_everything(self) -> None:
        """Have each function do its work once, and check what became of it."""
        person = str(uuid4())
        why = {"reason": "operations", "ticket": "OPS-1"}
        sent, bad = record(login(user_id=person)), record("junk")
        assert self.ingest.invoke(event(sent, bad, sent)) == failures(bad)
        assert [found for found in self.database.rows() if found["message_id"] == sent["messageId"]] == [row(sent)]
        assert self.database.rejections()[bad["messageId"]] == ("not_json", "")

        ip = {"token": token("ip", login()["ip"]), "domain": "ip", "value": login()["ip"]}
        revealed = self.call("reveal", tokens=[ip["token"]], **why)
        assert revealed == {"values": [ip], "unknown": [], "altered": []}

        letter = self.sqs.put("junk", message_id=bad["messageId"])
        (listed,) = self.call("dead_letters", action="list", stream="user_logins")["letters"]
        assert (listed["id"], listed["reason"]) == (letter, "not_json")
        assert self.call("dead_letters", action="purge", stream="user_logins", ids=[letter], **why)["purged"] == 1

        forgotten = self.call("forget", action="forget", subject=person, **why)
        assert forgotten["rows"]["user_logins"] == 1
        late = record(login(user_id=person))  # sent before the erasure, whichever way its time is written
        assert self.ingest.invoke(event(late)) == failures()
        assert not [found for found in self.database.rows() if found["user_id"] == person]

        assert self.call("rekey", action="status", **why)["current"] == 1
        assert self.call("rekey", action="rekey", **why)["done"] is True
        assert self._environment("maintain").invoke({}, 60)["postponed"] == {}
        verified = self.call("audit", action="verify")
        assert verified["intact"] is True and verified["rows"] >= 3

    def move_to(self, name: str) -> TestDatabase:
        """Have new environments use another database of the server, and return it."""
        self.close()
        self.patch.setenv("DATABASE_NAME", name)
        server = self.database.server
        session = Connection(
            server.user, password=server.password, host=server.host, port=server.port, database=name, timeout=30
        )
        self.database = TestDatabase(server, session)
        return self.database

    def close(self) -> None:
        """End all environments."""
        for name, environment in self._opened.items():
            if name == "ingest":
                environment.close()
            elif environment._app._database.cache_info().currsize:
                environment._app._database().close()
        self._opened.clear()

    def _environment(self, function: str) -> Environment:
        if function not in self._opened:
            environment = Environment(function)
            self.patch.setenv("DATABASE_SECRET_ID", function)
            environment._app._settings()  # remembers it
            self._opened[function] = environment
        return self._opened[function]
