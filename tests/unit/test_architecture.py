"""The house: which room may import which, and what import-linter does not see of that.

The floors stand in pyproject.toml, and docs/architecture.md draws them.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sluice
from tools.project import DECLARED, PROJECT

PRODUCT = PROJECT / "layers" / "common" / "sluice"
FUNCTIONS = sorted((PROJECT / "functions").glob("*/app.py"))
PAGE = (PROJECT / "docs" / "architecture.md").read_text()


def lint(common: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the product in that folder, and on the tools."""
    path = os.pathsep.join(map(str, (common, DECLARED, PROJECT)))
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run(
        [*command, "--config", str(PROJECT / "pyproject.toml"), "--no-cache"],
        check=False,
        capture_output=True,
        text=True,
        cwd=common,
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"], "COLUMNS": "200"},
    )


def imports(file: Path) -> Iterator[str]:
    """Yield every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def named(file: Path) -> set[str]:
    """Return every name that a file uses."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def section(headline: str) -> str:
    return PAGE.split(f"\n## {headline}\n")[1].split("\n## ")[0]


def cells(headline: str) -> list[list[str]]:
    """Return the rows of a section's table, without its head."""
    lines = [line for line in section(headline).splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_rooms_keep_to_their_floors() -> None:
    linted = lint(PRODUCT.parent)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("aws/clients.py", "    from sluice.ingest import store", "A room imports from the floors below it alone"),
        ("ingest/store.py", "    import pg8000", "Only postgres/ imports pg8000"),
        ("ingest/store.py", "    import boto3", "Only aws/ imports boto3 and botocore"),
        ("ingest/store.py", "    import cryptography", "Only pseudonyms/ and vault/ import cryptography"),
        ("ingest/store.py", "    import streams", "The product knows no stream"),
        ("ingest/store.py", "    import tools.project", "The product and its streams know no tool"),
        ("settings.py", "    from sluice import telemetry", "A room imports from the floors below it alone"),
    ],
)
def test_a_room_that_reaches_where_it_must_not_is_found(room: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(PRODUCT, tmp_path / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "sluice" / room).open("a") as file:
        file.write(f"\ndef _reach() -> None:\n{line}\n")
    linted = lint(tmp_path)
    assert linted.returncode == 1
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", linted.stdout, re.MULTILINE)


def test_a_function_imports_nothing_of_ours_but_the_product() -> None:
    allowed = re.compile(r"(collections|functools|typing|datetime|aws_lambda_powertools|sluice)(\.|$)")
    found = {(str(file), name) for file in FUNCTIONS for name in imports(file) if not allowed.match(name)}
    assert (len(FUNCTIONS) > 0, found) == (True, set())


def test_modules_are_imported_by_name_in_two_places_alone() -> None:
    by_name = {"import_module", "__import__", "exec", "eval"}
    files = [*PRODUCT.rglob("*.py"), *FUNCTIONS]
    found = {str(file.relative_to(PROJECT)) for file in files if by_name & named(file)}
    assert found == {
        "layers/common/sluice/__init__.py",  # the face
        "layers/common/sluice/declaration/registry.py",
    }


def test_no_circle_hides_behind_type_checking() -> None:
    files = [*PRODUCT.rglob("*.py"), *FUNCTIONS]
    found = {str(file.relative_to(PRODUCT)) for file in files if "TYPE_CHECKING" in named(file)}
    assert found == {"__init__.py"}


def test_the_command_loads_neither_the_local_stack_nor_a_client_of_aws_before_it_is_called() -> None:
    program = "import sys, tools.sluice_cli; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    late = ("tools.local", "tools.testing", "boto3", "pixeltable")
    assert [name for name in ran.stdout.split() if name.startswith(late)] == []


def test_the_page_draws_the_floors_as_they_are() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = configuration["tool"]["importlinter"]["contracts"]
    (floors,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["sluice"]]
    rooms = [re.findall(r"\w+", floor) for floor in floors]
    lines = [line for line in section("The rooms of the product").splitlines() if line.startswith("| `")]
    assert [re.findall(r"`(\w+)/?`", line.split("|")[1]) for line in lines] == rooms


def test_the_page_draws_every_function() -> None:
    there = sorted(file.parent.name for file in FUNCTIONS)
    assert sorted(name for name, *_ in cells("What runs where")) == there
    assert sorted(re.findall(r'"functions/(\w+)"', section("What runs where"))) == there


@pytest.mark.parametrize("file", sorted({*re.findall(r"(?<![/.])\b\w[\w/]+/\w+\.py\b", PAGE)}))
def test_the_page_names_files_that_are_there(file: str) -> None:
    assert any((folder / file).exists() for folder in (PRODUCT, PROJECT))


def test_the_page_says_who_writes_and_reads_each_table_as_the_migrations_grant_it() -> None:
    files = sorted((PRODUCT / "migrate" / "sql").glob("*.sql"))
    made = {"migration", *re.findall(r"^CREATE TABLE (\w+)", "\n".join(file.read_text() for file in files), re.M)}
    writes: dict[str, set[str]] = {table: set() for table in made}
    reads: dict[str, set[str]] = {table: set() for table in made}
    for grant in re.findall(r"^GRANT (.*?);", "\n".join(file.read_text() for file in files), re.M | re.S):
        rights, _, rest = re.sub(r"\([^)]*\)", "", grant).partition(" ON ")
        objects, _, roles = rest.replace("FUNCTION audit_append", "audit_log").partition(" TO ")
        for table in made.intersection(objects.split(", ")):  # the others are functions
            names = set(re.findall(r'"(\w+)"', roles))
            writes[table] |= names if re.search("INSERT|UPDATE|DELETE|EXECUTE", rights) else set()
            reads[table] |= names if "SELECT" in rights else set()
    told = {
        table: (set(writers.split(", ")), set(readers.split(", ")))
        for table, _, writers, readers in cells("The tables")
    }
    owner = {"the owner"}
    assert told == {table: (writes[table] or owner, reads[table] or owner) for table in made}


# The face of declarations


def test_the_face_has_what_type_checkers_see() -> None:
    tree = ast.parse((PRODUCT / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == sorted(sluice.__all__)
    assert {name: getattr(sluice, name) for name in seen} == {
        name: getattr(sys.modules[str(module)], name) for name, module in seen.items()
    }


def test_a_name_that_the_face_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'sluice' has no attribute 'Text_'$"):
        sluice.Text_  # type: ignore[attr-defined] # noqa: B018


def modules_of(function: Path, streams: Path) -> list[str]:
    """Return all that a function has loaded once it has read the declarations, in an interpreter of its own."""
    program = (
        "import sys, json; from importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('app', sys.argv[1]); app = module_from_spec(spec)\n"
        "spec.loader.exec_module(app)\n"
        "from sluice.declaration.registry import load_all; load_all()\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    path = os.pathsep.join(map(str, (PRODUCT.parent, streams)))
    names = {"POWERTOOLS_SERVICE_NAME": "test", "POWERTOOLS_METRICS_NAMESPACE": "test"}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(function)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path, **names},
        cwd=streams,
    )
    loaded: list[str] = json.loads(ran.stdout)
    return loaded


@pytest.mark.long
def test_a_function_loads_the_same_modules_whether_a_declaration_uses_the_face_or_not(tmp_path: Path) -> None:
    shutil.copytree(DECLARED / "streams", tmp_path / "streams", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (tmp_path / "streams").glob("[a-z]*.py"):
        text, count = re.subn(r"^from sluice import (\([^)]*\)|.*)$", _without_the_face, file.read_text(), flags=re.M)
        assert count == 1
        file.write_text(text)
    pairs = [(function, folder) for function in FUNCTIONS for folder in (DECLARED, tmp_path)]
    with ThreadPoolExecutor(2) as pool:
        loaded = list(pool.map(modules_of, *zip(*pairs, strict=True)))
    for with_face, without in zip(loaded[::2], loaded[1::2], strict=True):
        assert with_face == without


def _without_the_face(line: re.Match[str]) -> str:
    names = re.findall(r"\w+", line[1])
    return "\n".join(f"from {getattr(sluice, name).__module__} import {name}" for name in names)
