"""A migration that was applied is never changed: the deployment refuses it, and says what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.migrate import migrations, schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.messages import KEYSET
from tests.versions import NEWEST, PRODUCT, STREAMS

NAME = "1000_next.sql"
TEXT = "CREATE TABLE next (\n    id integer\n);\n"

type Deploy = Callable[[], Versions]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the streams' migrations, with one that is new."""
    shutil.copytree(PRODUCT, tmp_path / "sluice" / "migrate" / "sql")
    shutil.copytree(STREAMS, tmp_path / "streams" / "migrations")
    monkeypatch.setattr(migrations, "files", lambda package: tmp_path / package)
    folder = tmp_path / "streams" / "migrations"
    (folder / NAME).write_text(TEXT)
    return folder


@pytest.fixture
def deploy(database: TestDatabase, folder: Path) -> Deploy:
    """Deploy once, with the new migration, and return the function that does so again."""

    def run() -> Versions:
        owner = Database(database.settings("owner"), "sluice-migrate")
        try:
            return schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
        finally:
            owner.close()

    run()
    return run


def test_an_applied_migration_that_was_edited_is_refused_before_anything_is_applied(
    deploy: Deploy, folder: Path, database: TestDatabase
) -> None:
    (folder / NAME).write_text(TEXT.replace("integer", "bigint"))
    (folder / "1001_more.sql").write_text("CREATE TABLE more ();")
    with pytest.raises(MigrationFailed) as raised:
        deploy()
    assert str(raised.value) == (
        "migration 1000_next.sql: the text was changed after it was applied; put the old text back, and write a new"
        " migration for the change"
    )
    assert database.value("SELECT to_regclass('more')") is None
    (folder / NAME).write_text(TEXT)
    assert deploy() == NEWEST._replace(streams=1001)


def test_another_file_under_an_applied_number_is_refused(deploy: Deploy, folder: Path) -> None:
    (folder / NAME).unlink()
    (folder / "1000_other.sql").write_text("CREATE TABLE other ();")
    with pytest.raises(MigrationFailed) as raised:
        deploy()
    assert str(raised.value) == (
        "migration 1000_other.sql: 1000_next.sql was applied under this number; give the file a new number"
    )


def test_a_migration_of_the_product_is_held_too(deploy: Deploy, folder: Path, tmp_path: Path) -> None:
    first = min((tmp_path / "sluice" / "migrate" / "sql").glob("*.sql"))
    first.write_text(first.read_text() + "SELECT 1;\n")
    with pytest.raises(MigrationFailed, match=f"^migration {first.name}: the text was changed after it was applied"):
        deploy()


@pytest.mark.parametrize(
    "text",
    [TEXT.replace("\n", "\r\n"), TEXT.replace(" (\n", " (  \n"), TEXT + "\n\n", TEXT.rstrip("\n")],
    ids=["line endings of Windows", "blanks at the end of a line", "lines at the end", "no line end at the end"],
)
def test_white_space_at_the_end_of_lines_and_line_endings_do_not_count(text: str, deploy: Deploy, folder: Path) -> None:
    (folder / NAME).write_bytes(text.encode())
    assert deploy() == NEWEST._replace(streams=1000)


def test_a_renamed_migration_is_the_same_one(deploy: Deploy, folder: Path) -> None:
    (folder / NAME).rename(folder / "1000_renamed.sql")
    assert deploy() == NEWEST._replace(streams=1000)


@pytest.mark.parametrize("sql", ["ALTER TABLE migration DROP COLUMN checksum", "UPDATE migration SET checksum = NULL"])
def test_what_was_applied_before_there_were_checksums_is_held_from_the_next_deployment_on(
    sql: str, deploy: Deploy, folder: Path, database: TestDatabase
) -> None:
    database.sql(sql)
    deploy()
    assert database.value("SELECT count(*) FROM migration WHERE checksum !~ '^[0-9a-f]{64}$' OR checksum IS NULL") == 0
    (folder / NAME).write_text(TEXT.replace("integer", "bigint"))
    with pytest.raises(MigrationFailed, match=r"^migration 1000_next\.sql: the text was changed"):
        deploy()


def test_a_migration_of_a_newer_release_is_left_as_it_is(deploy: Deploy, folder: Path, database: TestDatabase) -> None:
    (folder / NAME).unlink()
    assert deploy() == NEWEST._replace(streams=1000)
