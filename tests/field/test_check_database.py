"""`sluice check --database` compares a database that is there with the streams, and changes nothing in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sluice.migrate import migrations
from tests.integration.databases import TestDatabase
from tests.unit.cli import run
from tests.unit.new_stream import template_of_declared
from tests.versions import PRODUCT, STREAMS
from tools.sluice_cli.authors import template


@pytest.fixture(autouse=True)
def fitting_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "text", template_of_declared)


def url(database: TestDatabase, options: str = "") -> str:
    known = database.server.url
    return known + (options.replace("?", "&") if "?" in known else options)


def check(database: TestDatabase) -> dict[str, Any]:
    """Return what `--json` tells, and hold that the database is as it was."""
    before = snapshot(database)
    _, output, errors = run("check", "--json", "--database", url(database))
    assert (errors, snapshot(database)) == ("", before)
    told: dict[str, Any] = json.loads(output)
    return told


def snapshot(database: TestDatabase) -> list[list[Any]]:
    """Return every table with its columns and rights, and the rows of `migration`."""
    tables = database.sql(
        "SELECT relname::text, relacl::text, (SELECT array_agg(attname::text || coalesce(attacl::text, ''))"
        " FROM pg_attribute WHERE attrelid = c.oid) FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
        " ORDER BY relname"
    )
    return [*tables, *(database.sql("SELECT m::text FROM migration m") if tables else [])]


def test_a_database_that_fits_is_told(database: TestDatabase) -> None:
    assert check(database) == {
        "streams": [
            {"stream": "orders", "table": "orders", "columns": 19},
            {"stream": "user_logins", "table": "user_logins", "columns": 9},
        ],
        "not_applied": [],
        "warnings": [],
        "errors": [],
    }
    code, output, _ = run("check", "--database", url(database, "?sslmode=disable"))
    assert (code, "2 streams and the database fit together" in output) == (0, True)


def test_an_empty_database_lacks_every_migration(empty_database: TestDatabase) -> None:
    assert check(empty_database) | {"streams": []} == {
        "streams": [],
        "not_applied": [file.name for folder in (PRODUCT, STREAMS) for file in sorted(folder.glob("*.sql"))],
        "warnings": [],
        "errors": ["Order: there is no table orders", "UserLogin: there is no table user_logins"],
    }


def test_what_does_not_fit_is_told_and_so_is_what_the_next_deployment_would_refuse(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PRODUCT, tmp_path / "sluice" / "migrate" / "sql")
    shutil.copytree(STREAMS, tmp_path / "streams" / "migrations")
    monkeypatch.setattr(migrations, "files", lambda package: tmp_path / package)
    folder = tmp_path / "streams" / "migrations"
    (folder / "0003_orders.sql").write_text("SELECT 1;")
    (folder / "1000_next.sql").write_text("CREATE TABLE next ();")
    database.sql("ALTER TABLE orders ALTER COLUMN total TYPE numeric(5, 2); ALTER TABLE user_logins DROP COLUMN locale")
    told = check(database)
    assert (told["not_applied"], told["errors"]) == (
        ["1000_next.sql"],
        [
            "migration 0003_orders.sql: the text was changed after it was applied; put the old text back, and write a"
            " new migration for the change",
            "Order: the column orders.total is numeric(5,2), which does not hold every value of /total;"
            " make it numeric(12,2)",
            "UserLogin: the table user_logins lacks the column locale",
        ],
    )
    code, output, _ = run("check", "--database", url(database))
    assert (code, output.splitlines()[0]) == (
        1,
        "… migration 1000_next.sql is not applied yet: the next deployment does it",
    )


def test_a_login_that_cannot_grant_is_told(database: TestDatabase) -> None:
    database.sql("CREATE ROLE reader_of_tests LOGIN PASSWORD 'p'; GRANT SELECT ON migration TO reader_of_tests")
    try:
        server = database.server
        address = f"postgresql://reader_of_tests:p@{server.host}:{server.port}/{server.database}"
        code, output, _ = run("check", "--json", "--database", address)
    finally:
        database.sql("DROP OWNED BY reader_of_tests; DROP ROLE reader_of_tests")
    assert (code, json.loads(output)["errors"]) == (
        1,
        [
            f"{stream}: the table {table} belongs to owner_of_tests, and reader_of_tests cannot grant rights on it;"
            f" ALTER TABLE {table} OWNER TO reader_of_tests"
            for stream, table in (("Order", "orders"), ("UserLogin", "user_logins"))
        ],
    )


@pytest.mark.directly("a pooler tells otherwise of a login that is refused")
def test_a_password_is_read_from_the_environment_and_a_wrong_one_is_told_without_it(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = database.server
    address = f"postgresql://{server.user}@{server.host}:{server.port}/{server.database}"
    monkeypatch.setenv("PGPASSWORD", server.password)
    assert run("check", "--database", address)[0] == 0
    monkeypatch.setenv("PGPASSWORD", "kn4ry")
    assert run("check", "--database", address) == (1, "✗ database: SQLSTATE 28P01 (invalid_password)\n", "")


@pytest.mark.parametrize(
    "bad",
    ["kn4ry", "mysql://u:kn4ry@h/d", "postgresql://u:kn4ry@h", "postgresql://u:kn4ry@h:x/d", "postgresql://:kn4ry@h/d"],
)
def test_a_bad_url_is_refused_without_a_word_of_it(bad: str) -> None:
    code, output, errors = run("check", "--database", bad)
    assert (code, output, errors.startswith("sluice: --database: ")) == (2, "", True)
    assert "kn4ry" not in errors


@pytest.mark.parametrize("options", ["sslmode=prefer", "connect_timeout=1"])
def test_an_option_that_would_not_be_obeyed_is_refused(options: str) -> None:
    assert run("check", "--database", f"postgresql://u:p@h/d?{options}") == (
        2,
        "",
        "sluice: --database: takes sslmode=verify-full or disable, and sslrootcert=FILE\n",
    )
