"""A filled table gets partitions while batches are written to it; whatever is cut off is gone on with."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sluice.maintain import conversion
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.partitions import end
from tests.integration import own_stream
from tests.integration.databases import INGEST_ROLE, OWNER, TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, numbered
from tests.integration.partitioned import (
    DECLARATION,
    NAME,
    NOW,
    PLAIN,
    Maintaining,
    call,
    days_ago,
    months,
    partitions,
)

BEFORE = DECLARATION.replace(', partition="month", keep_for="400 days"', "")
NEW = {"ResourceProperties": {"Stream": NAME}}  # what CloudFormation says once the function is deployed

type Deploy = Callable[[], None]


@pytest.fixture
def deploy(database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """Have the stream deployed without partitions, with three rows. Give the function that deploys it with them."""
    with own_stream.deployed(NAME, BEFORE, PLAIN, database, tmp_path, monkeypatch):
        environment = Environment("ingest")
        records = [call(numbered(number), days_ago(150 * number)) for number in range(3)]
        assert environment.invoke(event(*records)) == failures()
        environment.close()
        with deployments(database, tmp_path, monkeypatch) as again:
            yield again


@contextmanager
def deployments(database: TestDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    opened: list[Any] = []

    def again() -> None:
        made = own_stream.deployed(NAME, DECLARATION, "SELECT 1", database, folder, monkeypatch)
        made.__enter__()
        opened.append(made)

    yield again
    for made in opened:
        made.__exit__(None, None, None)


@pytest.fixture
def maintaining(monkeypatch: pytest.MonkeyPatch) -> Maintaining:
    return Maintaining(monkeypatch)


def kind(database: TestDatabase) -> str:
    return str(database.value("SELECT relkind::text FROM pg_class WHERE oid = to_regclass('calls')"))


def ids(database: TestDatabase) -> list[str]:
    return [message_id for (message_id,) in database.sql("SELECT message_id::text FROM calls ORDER BY message_id")]


def test_a_filled_table_becomes_the_first_partition(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining, ingest: Environment
) -> None:
    deploy()
    assert kind(database) == "r"
    assert ingest.invoke(event(call(numbered(3)), call(numbered(1), days_ago(150)))) == failures()
    assert maintaining.run()["overdue_days"] == {NAME: 0}
    assert kind(database) == "r"  # as long as an older function may be at work
    done = maintaining.run(NEW)
    assert (done["converted"], done["postponed"]) == (1, {})
    boundary = end(NOW + timedelta(days=8), "month")
    assert partitions(database) == [f"–{boundary:%Y-%m-%d}", *months(boundary, NOW + timedelta(days=92))]
    assert ids(database) == [numbered(number) for number in range(4)]
    again = [call(numbered(number), days_ago(150 * number)) for number in range(3)]
    assert ingest.invoke(event(*again, call(numbered(4)))) == failures()
    assert ids(database) == [numbered(number) for number in range(5)]
    assert maintaining.run(NEW).get("converted") is None
    assert database.sql("SELECT conname FROM pg_constraint WHERE conname = 'sluice_conversion'") == []


def test_what_belongs_to_the_table_goes_over_to_the_new_one(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining
) -> None:
    database.sql(
        "CREATE TABLE person (name varchar(256) PRIMARY KEY); INSERT INTO person SELECT DISTINCT person FROM calls;"
        "ALTER TABLE calls ADD CONSTRAINT of_person FOREIGN KEY (person) REFERENCES person;"
        "ALTER TABLE calls ADD CONSTRAINT short CHECK (length(person) < 100), ADD number bigserial, ADD twice int"
        " GENERATED ALWAYS AS (length(person) * 2) STORED; COMMENT ON TABLE calls IS 'who called';"
        "COMMENT ON COLUMN calls.person IS 'a token'; CREATE INDEX lower_ones ON calls (lower(person));"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER touch BEFORE INSERT ON calls FOR EACH ROW WHEN (NEW.person <> '') EXECUTE FUNCTION touch();"
        "CREATE TRIGGER note AFTER INSERT ON calls EXECUTE FUNCTION touch();"
        f"GRANT SELECT (person), UPDATE (callee) ON calls TO {INGEST_ROLE}; GRANT SELECT ON calls TO PUBLIC;"
        f"ALTER TABLE person OWNER TO {OWNER.username}; ALTER FUNCTION touch OWNER TO {OWNER.username};"
        f"GRANT SELECT ON person TO {INGEST_ROLE}"
    )
    deploy()
    of_table = {
        "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'calls'::regclass"
        " AND contype IN ('c', 'f') ORDER BY 1",
        "columns": "SELECT attname, atttypid::regtype::text, attnotnull, attgenerated::text, col_description(attrelid,"
        " attnum), pg_get_expr(adbin, adrelid), attacl::text FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid ="
        " attrelid AND adnum = attnum WHERE attrelid = 'calls'::regclass AND attnum > 0 ORDER BY attnum",
        "indexes": "SELECT regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ON (ONLY )?', '') FROM pg_index"
        " WHERE indrelid = 'calls'::regclass AND NOT indisunique ORDER BY 1",
        "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'calls'::regclass"
        " AND NOT tgisinternal ORDER BY tgname",
        "table": "SELECT obj_description(oid, 'pg_class'), pg_get_userbyid(relowner)::text FROM pg_class"
        " WHERE oid = 'calls'::regclass",
        "grants": "SELECT grantee::text, privilege_type, is_grantable FROM pg_class, aclexplode(relacl)"
        " WHERE pg_class.oid = 'calls'::regclass ORDER BY 1, 2",
        "sequence": "SELECT pg_get_serial_sequence('calls', 'number')",
    }
    before = {name: database.sql(query) for name, query in of_table.items()}
    assert maintaining.run(NEW)["converted"] == 1
    assert {name: database.sql(query) for name, query in of_table.items()} == before
    assert kind(database) == "p"
    of_old = {  # the rights are on the table now, and no longer on what is its first partition
        "table": "SELECT grantee FROM pg_class, aclexplode(relacl)"
        " WHERE pg_class.oid = 'calls_before'::regclass AND grantee <> relowner",
        "columns": "SELECT attacl FROM pg_attribute WHERE attrelid = 'calls_before'::regclass AND attacl::text <> '{}'",
    }
    assert [database.sql(query) for query in of_old.values()] == [[], []]


OBSTACLES = {
    "CREATE VIEW daily AS SELECT count(*) FROM calls": "the view daily",
    "CREATE MATERIALIZED VIEW daily AS SELECT person FROM calls": "the view daily",
    "CREATE TABLE note (id uuid REFERENCES calls)": "the constraint note_id_fkey on table note",
    "CREATE UNIQUE INDEX once ON calls (message_id, person)": "the unique index once, which lacks sent_at",
    "CREATE POLICY mine ON calls USING (person <> '')": "the policy mine",
    "CREATE PUBLICATION all_calls FOR TABLE calls": "the publication all_calls",
    "ALTER TABLE calls ADD CONSTRAINT a CHECK (person <> '') NOT VALID": "the constraint a, which is not validated",
    "ALTER TABLE calls ADD number int GENERATED BY DEFAULT AS IDENTITY": "the column number, which is an identity",
    "ALTER TABLE calls REPLICA IDENTITY FULL": "its replica identity",
    "ALTER TABLE calls ALTER sent_at DROP NOT NULL": "the column sent_at, which can be null",
    "CREATE FUNCTION all_of() RETURNS SETOF calls BEGIN ATOMIC SELECT * FROM calls; END": "the function all_of()",
    "CREATE TABLE kept (one calls)": "the column one of table kept",
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER off BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION pass();"
    "ALTER TABLE calls DISABLE TRIGGER off": "the trigger off, which is switched off or always on",
}


@pytest.mark.parametrize(("sql", "named"), OBSTACLES.items(), ids=OBSTACLES.values())
def test_what_would_stay_behind_is_refused_by_name_before_anything_is_done(
    sql: str, named: str, deploy: Deploy, database: TestDatabase
) -> None:
    database.sql(sql)
    with pytest.raises(MigrationFailed) as refused:
        deploy()
    told = f"the table calls gets partitions, and {named} would stay with the old one; drop it, and make it again"
    assert told in str(refused.value)
    assert kind(database) == "r"


def test_a_unique_index_of_some_rows_alone_is_not_taken_for_the_key(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining
) -> None:
    database.sql("CREATE UNIQUE INDEX few ON calls (message_id, sent_at) WHERE person <> ''")
    deploy()
    assert maintaining.run(NEW)["converted"] == 1
    assert kind(database) == "p"


def test_no_batch_fails_or_is_lost_while_a_table_is_converted(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining, environments: Callable[[], Environment]
) -> None:
    database.sql(
        "INSERT INTO calls (person, masked_ip, sent_at, message_id) SELECT 'p' || n, '', now() - n * interval"
        " '1 minute', gen_random_uuid() FROM generate_series(1, 100000) n"
    )
    stop, written = Event(), []

    def write(environment: Environment) -> None:
        number = 0
        while not stop.is_set():
            records = [call(sent_at=days_ago(number % 300)) for number in range(number, number + 20)]
            assert environment.invoke(event(*records, *records[:2])) == failures()
            written.extend([record["messageId"] for record in records])
            number += 20

    both = [environments(), environments()]
    for environment in both:  # it has the declaration of before
        assert environment.invoke(event(call(numbered(0), days_ago(0)))) == failures()
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, environment) for environment in both]
        try:
            deploy()
            assert maintaining.run(NEW)["converted"] == 1
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert kind(database) == "p"
    assert len(written) > 100
    assert database.value("SELECT count(*) FROM calls") == 100_003 + len(written)
    assert set(written) <= set(ids(database))


STEPS = ["begin_conversion", "check_conversion", "finish_conversion"]


@pytest.mark.parametrize("step", STEPS)
def test_a_conversion_that_is_cut_off_is_gone_on_with(
    step: str,
    deploy: Deploy,
    database: TestDatabase,
    maintaining: Maintaining,
    ingest: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    deploy()
    call_of = conversion._call

    def until(database: Any, statement: str, *arguments: Any, **parameters: Any) -> None:
        if statement.startswith(step):
            raise Killed
        call_of(database, statement, *arguments, **parameters)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_call", until)
        with pytest.raises(Killed):
            maintaining.run(NEW)
    assert kind(database) == "r"
    assert ingest.invoke(event(call(numbered(7)))) == failures()
    assert maintaining.run(NEW)["converted"] == 1
    assert ids(database) == [numbered(number) for number in (0, 1, 2, 7)]


@pytest.mark.own_server("it changes the catalog")
def test_a_key_whose_build_was_cut_off_is_built_anew(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining
) -> None:
    database.sql("CREATE UNIQUE INDEX cut_off ON calls (message_id, sent_at)")
    database.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'cut_off'::regclass")
    assert maintaining.run(NEW).get("converted") is None
    deploy()
    assert database.value("SELECT to_regclass('cut_off')::text") is None
    assert maintaining.run(NEW)["converted"] == 1


def test_expired_rows_of_a_converted_table_go_before_their_partition_does(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining
) -> None:
    database.sql(
        "INSERT INTO calls (person, masked_ip, sent_at, message_id) SELECT 'p' || n, repeat('x', 200), now() -"
        " n % 2 * interval '500 days', gen_random_uuid() FROM generate_series(1, 5000) n"
    )
    deploy()
    done = maintaining.run(NEW)
    assert (done["converted"], done["rows"]) == (1, 2500)
    assert database.value("SELECT count(*) FROM calls") == 2503
    assert database.value("SELECT sum(removed)::int FROM batch WHERE stream = 'calls'") == 2500


def test_a_table_that_somebody_holds_is_left_as_it_was(
    deploy: Deploy, database: TestDatabase, maintaining: Maintaining, ingest: Environment
) -> None:
    deploy()
    with database.second_session() as other:
        other.run("BEGIN")
        other.run("SELECT count(*) FROM calls")
        done = maintaining.run(NEW, 32)
        assert list(done["postponed"]) == [NAME]
        assert ingest.invoke(event(call())) == failures()
        other.run("ROLLBACK")
    assert kind(database) == "r"
    assert maintaining.run(NEW)["converted"] == 1


def test_an_empty_table_of_two_streams_is_converted_once(
    deploy: Deploy, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.sql("TRUNCATE calls")
    monkeypatch.delitem(sys.modules, "streams.other_calls", raising=False)
    (tmp_path / "other_calls.py").write_text(DECLARATION)
    deploy()
    assert kind(database) == "p"
    assert database.value("SELECT count(*) FROM pg_index WHERE indrelid = 'calls'::regclass AND indisunique") == 1
