"""What PostgreSQL's errors mean, by errors that a real server has raised."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from sluice.postgres import sqlstate
from sluice.postgres.copy import copy_in
from sluice.postgres.sqlstate import TABLE, Meaning
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, TestDatabase, until
from tools.sluice_cli import sqlstates

pytestmark = pytest.mark.directly("it is about connections, which a pooler makes and ends by itself")

# Statements on a table `t`, and what their errors mean for a batch whose stream's table that is.
STATEMENTS = {
    "21000": ("INSERT INTO t (number) VALUES ((SELECT n FROM generate_series(1, 2) n))", Meaning.REFUSED),
    "22001": ("INSERT INTO t (short) VALUES ('too long')", Meaning.REFUSED),
    "22003": ("INSERT INTO t (number) VALUES (99999999999)", Meaning.REFUSED),
    "22P02": ("INSERT INTO t (number) VALUES ('x')", Meaning.REFUSED),
    "23502": ("INSERT INTO t (id) VALUES (NULL)", Meaning.REFUSED),
    "23503": ("INSERT INTO t (other) VALUES (1)", Meaning.REFUSED),
    "23505": ("INSERT INTO t (id) VALUES (1), (1)", Meaning.DUPLICATE),
    "23514": ("INSERT INTO t (number) VALUES (-1)", Meaning.REFUSED),
    "23514 without a name": ("INSERT INTO parted VALUES (1)", Meaning.OUTAGE),
    "23514 of another table": ("INSERT INTO others (id) VALUES (-1)", Meaning.REFUSED),
    "2F005": ("SELECT without_return()", Meaning.REFUSED),
    "44000": ("INSERT INTO positive (number) VALUES (0)", Meaning.REFUSED),
    "54000": (
        "INSERT INTO t (indexed) SELECT string_agg(md5(n::text), '') FROM generate_series(1, 999) n",
        Meaning.REFUSED,
    ),
    "55P03": ("LOCK TABLE held NOWAIT", Meaning.TRY_AGAIN),
    "57014": ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)", Meaning.TRY_AGAIN),
    "25006": ("SET TRANSACTION READ ONLY; INSERT INTO t (id) VALUES (2)", Meaning.RECONNECT),
    "42P01": ("INSERT INTO missing VALUES (1)", Meaning.OUTAGE),
    "42703": ("INSERT INTO t (missing) VALUES (1)", Meaning.OUTAGE),
    "42501": ("SET LOCAL ROLE pg_monitor; INSERT INTO t (id) VALUES (2)", Meaning.OUTAGE),
    "P0001": ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", Meaning.REFUSED),
    "P0002": ("DO $$ DECLARE x integer; BEGIN SELECT 1 INTO STRICT x WHERE false; END $$", Meaning.REFUSED),
    "P0004": ("DO $$ BEGIN ASSERT false; END $$", Meaning.REFUSED),
    "55P04": ("DO $$ BEGIN RAISE SQLSTATE '55P04'; END $$", Meaning.REFUSED),
}


NAMES_OF = 18  # the version whose list the names are from: an older server knows fewer


@pytest.fixture
def tables(empty_database: TestDatabase) -> TestDatabase:
    empty_database.sql(
        "CREATE TABLE others (id integer PRIMARY KEY CONSTRAINT positive_id CHECK (id > 0));"
        "CREATE TABLE held (); CREATE TABLE parted (n integer) PARTITION BY LIST (n);"
        "CREATE TABLE t (id integer PRIMARY KEY DEFAULT 9, short varchar(3), number integer CHECK (number >= 0),"
        " other integer REFERENCES others, indexed text);"
        "CREATE VIEW positive AS SELECT number FROM t WHERE number > 0 WITH CHECK OPTION;"
        "CREATE FUNCTION without_return() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN NULL; END $$"
    )
    empty_database.sql("CREATE INDEX ON t (indexed)")
    return empty_database


def raised(action: Callable[[], object]) -> Exception:
    try:
        action()
    except (DatabaseError, InterfaceError, OSError) as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("name", STATEMENTS)
def test_an_error_of_a_statement_means(name: str, tables: TestDatabase) -> None:
    statement, meaning = STATEMENTS[name]
    with tables.second_session() as holder, tables.second_session() as session:
        holder.run("BEGIN; LOCK TABLE held")
        session.run("BEGIN")
        error = raised(lambda: session.run(statement))
        session.run("ROLLBACK")
        holder.run("ROLLBACK")
    assert isinstance(error, DatabaseError)
    assert sqlstate.of(error) == name[:5]
    assert sqlstate.meaning(error, is_of_the_row=True) is meaning
    unless_ours = Meaning.OUTAGE if meaning in sqlstate.OF_A_ROW else meaning
    assert sqlstate.meaning(error) is unless_ours


@pytest.mark.parametrize("code", ["28000", "28P01", "40001", "53100", "57014", "57P01", "XX000"])
def test_what_raise_reports_while_rows_are_written_is_of_the_row_whatever_its_code(
    code: str, tables: TestDatabase
) -> None:
    with tables.second_session() as session:
        error = raised(lambda: session.run(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))
    assert sqlstate.meaning(error, is_of_the_row=True) is Meaning.REFUSED
    assert sqlstate.meaning(error) is not Meaning.REFUSED


# Of a code and its name: nothing is raised if the name catches the code, and raises it or one that has the same name.
CATCH = "DO $$ BEGIN RAISE SQLSTATE '{code}'; EXCEPTION WHEN {name} THEN NULL; END $$"
RAISE = "DO $$ BEGIN RAISE {name}; EXCEPTION WHEN SQLSTATE '{codes}' THEN NULL; END $$"


def test_each_name_that_is_shown_beside_a_code_is_postgresqls_own(empty_database: TestDatabase) -> None:
    codes: dict[str, list[str]] = {}
    for code, name in sqlstates.names().items():
        codes.setdefault(name, []).append(code)
    wrong = {}
    with empty_database.second_session() as session:
        for code, name in sqlstates.names().items():
            same = "' OR SQLSTATE '".join(codes[name])
            try:
                session.run(CATCH.format(code=code, name=name))
                session.run(RAISE.format(name=name, codes=same))
            except DatabaseError as error:
                wrong[name] = error.args[0]["M"]
    if empty_database.version < NAMES_OF:
        wrong = {name: why for name, why in wrong.items() if "unrecognized exception condition" not in why}
    assert wrong == {}


def test_a_serialization_failure_is_tried_again(tables: TestDatabase) -> None:
    with tables.second_session() as one, tables.second_session() as other:
        for session in (one, other):
            session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
            session.run("SELECT count(*) FROM t")
        one.run("INSERT INTO t (id) VALUES (11)")
        other.run("INSERT INTO t (id) VALUES (12)")
        one.run("COMMIT")
        error = raised(lambda: other.run("COMMIT"))
    assert isinstance(error, DatabaseError)
    assert (sqlstate.of(error), sqlstate.meaning(error)) == ("40001", Meaning.TRY_AGAIN)


def test_a_deadlock_is_tried_again(tables: TestDatabase) -> None:
    with tables.second_session() as one, tables.second_session() as other, ThreadPoolExecutor(1) as thread:
        one.run("BEGIN; INSERT INTO t (id) VALUES (1)")
        other.run("BEGIN; INSERT INTO t (id) VALUES (2)")
        waiting = thread.submit(one.run, "INSERT INTO t (id) VALUES (2)")
        until(lambda: tables.sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        outcomes: list[Exception] = []
        with suppress(AssertionError):
            outcomes.append(raised(lambda: other.run("INSERT INTO t (id) VALUES (1)")))
        with suppress(AssertionError):
            outcomes.append(raised(waiting.result))
    (error,) = outcomes
    assert isinstance(error, DatabaseError)
    assert (sqlstate.of(error), sqlstate.meaning(error)) == ("40P01", Meaning.TRY_AGAIN)


def test_a_connection_that_the_server_ends_is_made_anew(tables: TestDatabase) -> None:
    session = tables.second_session()
    pid = session.run("SELECT pg_backend_pid()") or []
    tables.sql(f"SELECT pg_terminate_backend({pid[0][0]})")
    first, second = (raised(lambda: session.run("SELECT 1")) for _ in range(2))
    assert [sqlstate.meaning(error) for error in (first, second)] == [Meaning.RECONNECT] * 2
    for end in (session._sock, session._usock):
        with suppress(OSError):
            end.close()


@pytest.mark.parametrize(
    ("change", "code", "meaning"),
    [
        ("ALTER ROLE {role} PASSWORD 'another'", "28P01", Meaning.CREDENTIALS),
        ("ALTER ROLE {role} NOLOGIN", "28000", Meaning.CREDENTIALS),
        ("ALTER ROLE {role} CONNECTION LIMIT 0", "53300", Meaning.RECONNECT),
    ],
)
def test_a_refused_login_means(change: str, code: str, meaning: Meaning, database: TestDatabase) -> None:
    database.sql(change.format(role=INGEST_ROLE))
    server = database.server
    with socket.create_connection((server.host, server.port)) as own:  # pg8000 leaves its own one open
        error = raised(
            lambda: Connection(
                INGEST_ROLE, password=INGEST_PASSWORD, database=server.database, sock=own, ssl_context=False
            )
        )
    assert isinstance(error, DatabaseError)
    assert (sqlstate.of(error), sqlstate.meaning(error)) == (code, meaning)


def test_a_refused_row_of_a_copy_is_of_the_row(tables: TestDatabase) -> None:
    def copy(session: Connection) -> None:
        session.run("BEGIN")
        copy_in(session, "COPY t (id, short) FROM STDIN", ["1\ta\n", "2\ttoo long\n"])

    with tables.second_session() as session:
        error = raised(lambda: copy(session))
        session.run("ROLLBACK")
    assert sqlstate.meaning(error, is_of_the_row=True) is Meaning.REFUSED


def test_every_line_of_the_table_is_held_by_an_error_of_a_real_server() -> None:
    seen = {*STATEMENTS, "40001", "40P01", "28P01", "28000"}
    seen |= {"38000", "39P01"}  # of languages that the tests' server does not have
    assert [start for start, _ in TABLE if not any(code.startswith(start) for code in seen)] == []
