"""No clear ip, device id or undeclared thing comes near the database or out of the function, whatever goes wrong."""

import io
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from sluice import telemetry
from sluice.failures import Outage
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, login, record

# Kept in the clear by the stream: in its table, and nowhere else.
KEPT = {"user_id": "kn4ry-user", "device_type": "kn4ry-device", "locale": "kn4ry-locale"}
# In the clear nowhere.
MASKED = {"ip": "203.0.113.77", "device_id": "kn4ry-593-47-5928", "kn4ry-key": "kn4ry-value"}
HIDDEN = ["203.0.113", "kn4ry-593", "kn4ry-key", "kn4ry-value"]

BODIES: dict[str, object] = {
    "good": login(**KEPT, **MASKED),
    "undeclared": login(**KEPT, **MASKED) | {"kn4ry-key": {"kn4ry-key": ["kn4ry-value", 1]}},
    "missing": KEPT | MASKED,
    "bad ip": login(**KEPT, **MASKED) | {"ip": "203.0.113.777"},
    "bad version": login(**KEPT, **MASKED) | {"app_version": "203.0.113.77"},
    "wrong type": login(**KEPT, **MASKED) | {"device_id": ["kn4ry-value"]},
    "not json": json.dumps(login(**KEPT, **MASKED))[:-1],
    "no object": json.dumps(["kn4ry-value", "203.0.113.77"]),
}
FAULTS = {
    "none": "SELECT 1",
    "refused value": "ALTER TABLE user_logins ALTER COLUMN locale TYPE varchar(3)",
    "refused row": "ALTER TABLE user_logins ADD CONSTRAINT mine CHECK (locale = '')",
    "trigger that quotes the row": (
        "CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', NEW; END $$;"
        "CREATE TRIGGER quote BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION quote()"
    ),
    "outage that quotes the row": (
        "CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('TABLE %I', NEW); END $$;"
        "CREATE TRIGGER quote BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION quote()"
    ),
    "refused rejection": "ALTER TABLE rejection ADD CONSTRAINT mine CHECK (reason = '')",
    "no table": "DROP TABLE user_logins",
}


@pytest.fixture
def output(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Return what was logged and printed until now, at DEBUG."""
    logged = io.StringIO()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "aws_lambda_powertools")
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", logged)

    def read() -> str:
        captured = capfd.readouterr()
        return captured.out + captured.err + caplog.text + logged.getvalue()

    return read


def dump(database: TestDatabase) -> dict[str, str]:
    """Return every row of every table."""
    tables = [name for (name,) in database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return {table: str(database.sql(f"SELECT row_to_json(t)::text FROM {table} t")) for table in tables}


@pytest.mark.parametrize("sql", FAULTS.values(), ids=FAULTS.keys())
def test_clear_values_are_nowhere(
    sql: str, database: TestDatabase, ingest: Environment, output: Callable[[], str]
) -> None:
    database.sql(sql)
    for setting, value in {  # the server tells all it knows
        "log_statement": "all",
        "log_min_messages": "debug1",
        "log_min_error_statement": "debug1",
        "log_error_verbosity": "verbose",
        "log_parameter_max_length": "-1",
        "log_parameter_max_length_on_error": "-1",
    }.items():
        database.sql(f"ALTER DATABASE {database.server.database} SET {setting} TO '{value}'")
    logged_before = len(database.server.log.read_bytes())
    records = [record(body) for body in BODIES.values()]
    response: Any = ""
    raised = ""
    for batch in (records, records[:1] * 2, records):  # new, as a duplicate, and again
        try:
            response = ingest.invoke(event(*batch))
        except Outage as error:
            raised = "".join(traceback.format_exception(error)) + repr(error)
    tables = dump(database)
    server_log = database.server.log.read_bytes()[logged_before:].decode()
    told = output()

    assert 'COPY "user_logins"' in server_log
    assert "Record processing exception" in told
    for hidden in HIDDEN:
        assert hidden not in str(tables)
        assert hidden not in server_log
    for hidden in ["kn4ry", "203.0.113"]:
        assert hidden not in told
        assert hidden not in raised
        assert hidden not in str(response)
        assert hidden not in tables["rejection"]
    outages = [FAULTS[name] for name in ("outage that quotes the row", "refused rejection", "no table")]
    assert bool(raised) == (sql in outages)
