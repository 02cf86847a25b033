"""`sluice migration --write` writes what makes `sluice check` pass, on PostgreSQLs of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documentation import files_of_ones_own_stream
from tests.unit.new_stream import TEMPLATE, make_project
from tools.project import PROJECT
from tools.template import with_stream

type Sluice = Callable[..., tuple[int, str]]


@pytest.fixture
def sluice(tmp_path: Path) -> Sluice:
    """Return the command, as it runs with streams of its own; no other file is in their folder."""
    project = make_project(tmp_path / "project")
    path = os.pathsep.join(map(str, (project / "layers", PROJECT / "layers" / "common", PROJECT)))

    def run(*arguments: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-c", "from tools.sluice_cli import main; main()", *arguments],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT,
            env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        )
        return ran.returncode, ran.stdout

    return run


@pytest.mark.long
def test_a_migration_is_written_under_the_next_number_and_the_check_passes(sluice: Sluice, tmp_path: Path) -> None:
    streams = tmp_path / "project" / "layers" / "streams"
    (tmp_path / "project" / "template.yaml").write_text(with_stream(TEMPLATE, "sign_ups"))
    logins, sign_ups = streams / "user_logins.py", streams / "sign_ups.py"
    declared = logins.read_text().replace("locale: Annotated[str | None, Text(max=32)] = None", LONGER)
    logins.write_text(declared)
    (text,) = [text for name, text in files_of_ones_own_stream().items() if name.endswith("sign_ups.py")]
    sign_ups.write_text(text)
    (streams / "examples" / "user_logins.jsonl").unlink()  # they are of the columns of before
    before = sorted(streams.rglob("*.sql"))

    written = "Written to layers/streams/migrations/1000_user_logins.sql. Read it before you deploy.\n"
    code, printed = sluice("migration", "user_logins", "--write")
    assert (code, printed.replace(ADVICE, "")) == (0, SQL + written)
    assert (streams / "migrations" / "1000_user_logins.sql").read_text() == SQL
    code, printed = sluice("migration", "sign_ups")
    assert (code, len(list(streams.rglob("*.sql")))) == (0, len(before) + 1)
    assert "\n\nCREATE TABLE sign_ups (\n" in printed
    (streams / "migrations" / "1001_more.sql").write_text(printed)

    code, told = sluice("check")
    assert (code, told.count("✓")) == (0, 3)


ADVICE = "If a mask has changed, `--against REV` says what older rows keep; REV is the revision that is deployed.\n"
LONGER = """locale: Annotated[str | None, Text(max=64)] = None
    country: Annotated[str, Text(max=2)]"""
SQL = """\
-- The table of the stream user_logins, as its declaration is now.

-- The rows that there are have NULL in it. Where they are given a value, or there are none:
-- ALTER TABLE user_logins ALTER COLUMN country SET NOT NULL;
ALTER TABLE user_logins ADD COLUMN country varchar(2);

ALTER TABLE user_logins ALTER COLUMN locale TYPE varchar(64);
"""
