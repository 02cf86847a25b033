"""Change the pure modules in small ways, and tell which changes no test notices: mutmut, on a copy of the project.

It is for `make mutants`, takes long, and writes docs/mutants.md. Without arguments it goes through all groups of
modules; names of groups take these alone, and keep what the page says of the others.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.project import PROJECT, STATE

COPY = STATE / "mutants"  # mutmut finds packages in src/ alone, so the copy has the product there
PAGE = PROJECT / "docs" / "mutants.md"
RESULTS = PROJECT / "docs" / "mutants.json"
PRODUCT = Path("layers/common/sluice")
SECONDS = 600  # that the tests of a group may take
UNCHANGED = [r"return (str|bytes)\(_open\("]  # the envelopes are told apart as they are; mutmut wraps what it changes
HEAD = """\
# Mutants

`make mutants` changes the pure modules in small ways, one at a time, and runs the tests that are about them
([mutmut](https://mutmut.readthedocs.io)). A change that no test notices is a mutant that survives. Either nothing
holds a rule, or the change makes no difference, such as a name that only mypy reads. Functions with decorators are not
changed. A function that only integration tests reach has no tests here.

The command writes this page, and the changes that were not caught to [mutants.json](mutants.json).
"""

# The modules of each group, below the product, and the tests that are about them.
GROUPS = {
    "tokens": (["pseudonyms/keyset.py"], "unit/test_tokens unit/test_secret"),
    "cells": (
        ["postgres/cells.py", "postgres/copy.py", "ingest/copy_text.py"],
        "unit/test_cells unit/test_copy unit/test_store unit/test_kinds",
    ),
    "forms": (
        ["declaration/canonical.py"],
        "unit/test_canonical unit/test_rules field/test_emails field/test_phones field/test_uuids",
    ),
    "times": (
        ["declaration/times.py", "declaration/rules/moments.py"],
        "unit/test_moments unit/test_numbers_and_times unit/test_declaration field/test_timestamps",
    ),
    "rules": (
        [f"declaration/rules/{name}.py" for name in ("checked", "lists", "nulls", "numbers", "rule", "texts")],
        "unit/test_rules unit/test_null_if unit/test_numbers_and_times unit/test_declaration field/test_masks"
        " field/test_numbers field/test_texts",
    ),
    "masks": (
        ["declaration/masks.py", "declaration/masking.py", "declaration/scrub.py", "declaration/search.py"],
        "unit/test_masks unit/test_scrub unit/test_kinds unit/test_canary unit/test_rules unit/test_null_if"
        " unit/test_tree",
    ),
    "records": (
        ["declaration/records.py", "declaration/postmark.py", "declaration/envelopes.py", "declaration/whose.py"],
        "unit/test_records unit/test_envelope unit/test_outside unit/test_subjects unit/test_people_in_unions"
        " unit/test_batch unit/test_null_if unit/test_dead_letters field/test_identity field/test_greetings",
    ),
    "trees": (
        [
            "declaration/tree.py",
            "declaration/kept.py",
            "declaration/rules/scalar.py",
            "declaration/cases.py",
            "declaration/unions.py",
            "declaration/paths.py",
        ],
        "unit/test_tree unit/test_canary_of_trees unit/test_unions unit/test_people_in_unions unit/test_prefix",
    ),
    "layout": (
        [f"declaration/{name}.py" for name in ("layout", "annotations", "collisions")],
        "unit/test_declaration unit/test_stream unit/test_kinds unit/test_unions unit/test_prefix unit/test_null_if",
    ),
    "columns": (
        ["declaration/column_types.py"],
        "unit/test_column_types unit/test_unions unit/test_cli_values unit/test_cli_tree unit/test_cli_scrub",
    ),
}


class Mutant(NamedTuple):
    """A changed function, and what became of it."""

    module: str  # below the product
    function: str
    outcome: str  # as mutmut has it: killed, timeout, survived, no tests …
    change: str = ""  # the lines before and after, of those that no test noticed

    @property
    def is_caught(self) -> bool:
        return self.outcome in ("killed", "timeout")


def prepare(modules: Sequence[str], tests: str) -> None:
    """Copy the project, the product to src/, and say there what is to be changed and by what it is tested."""
    shutil.rmtree(COPY, ignore_errors=True)
    left_out = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(PROJECT, COPY, ignore=left_out)
    shutil.copytree(PROJECT / PRODUCT, COPY / "src" / "sluice", ignore=left_out)
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/sluice/{module}" for module in modules],
        "do_not_mutate_patterns": UNCHANGED,
        "also_copy": [path.name for path in sorted(COPY.iterdir()) if path.name != "src"],
        "pytest_add_cli_args": ["-o", "pythonpath=. src tests/declared", "-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": [f"tests/{test}.py" for test in tests.split()],
    }
    text = re.sub(r"^pythonpath = .*$", "", (COPY / "pyproject.toml").read_text(), flags=re.MULTILINE)
    written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    (COPY / "pyproject.toml").write_text(f"{text}\n[tool.mutmut]\n{written}\n")


def mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    ran = subprocess.run(command, cwd=COPY, check=False, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{ran.stdout.splitlines()[-20:]}\n{ran.stderr}")
    return ran.stdout


def survives(name: str, tests: str) -> bool:
    """Tell whether a mutant survives in a process of its own too.

    mutmut forks for each mutant, once all is imported: what runs while a declaration is read it changes too late.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-o", "pythonpath=. src tests/declared"]
    ran = subprocess.run(
        [*command, "-p", "no:cacheprovider", *(f"tests/{test}.py" for test in tests.split())],
        cwd=COPY / "mutants",
        env=os.environ | {"MUTANT_UNDER_TEST": name},
        check=False,
        capture_output=True,
        timeout=SECONDS,
    )
    return ran.returncode == 0


def mutants(tests: str) -> Iterator[Mutant]:
    """Yield what mutmut has found with these tests."""
    for line in mutmut("results", "--all", "true").splitlines():
        if found := re.fullmatch(r"\s*(sluice\.\S+): (.+)", line):
            name, outcome = found.groups()
            if outcome == "survived" and not survives(name, tests):
                outcome = "killed"
            module, _, rest = name.rpartition(".")
            function = re.sub(r"^xǁ(\w+)ǁ", r"\1.", re.sub(r"__mutmut_\d+$", "", rest)).removeprefix("x_")
            mutant = Mutant(module.removeprefix("sluice.").replace(".", "/") + ".py", function, outcome)
            yield mutant if mutant.is_caught else mutant._replace(change=difference(mutmut("show", name)))


def difference(shown: str) -> str:
    lines = [line for line in shown.splitlines() if re.match(r"[-+](?![-+])", line)]
    return "\n".join(line[0] + " " + line[1:].strip() for line in lines)


def result(found: Sequence[Mutant]) -> dict[str, Any]:
    """Return what is kept of each module: how many mutants were caught, and the others by function."""
    kept: dict[str, Any] = {}
    for mutant in sorted(found):
        module = kept.setdefault(mutant.module, {"mutants": 0, "caught": 0, "left": {}})
        module["mutants"] += 1
        module["caught"] += mutant.is_caught
        if not mutant.is_caught:
            module["left"].setdefault(f"{mutant.function}: {mutant.outcome}", []).append(mutant.change)
    return kept


def page(kept: dict[str, Any]) -> str:
    """Return the text of the page."""
    rows = [
        f"| `{module}` | {one['mutants']} | {one['caught']} | {one['mutants'] - one['caught']} |"
        for module, one in sorted(kept.items())
    ]
    left = [
        f"| `{module}` | `{function}` | {outcome} | {len(changes)} |"
        for module, one in sorted(kept.items())
        for function, _, outcome, changes in [(*name.partition(": "), changes) for name, changes in one["left"].items()]
    ]
    caught, all_of_them = (sum(one[name] for one in kept.values()) for name in ("caught", "mutants"))
    missing = [name for name, (modules, _) in GROUPS.items() if not kept.keys() & set(modules)]
    return (
        f"{HEAD}\n{all_of_them:,} mutants, {caught:,} caught ({caught / all_of_them:.0%})."
        + (f" Groups that were not run yet: {', '.join(missing)}." if missing else "")
        + "\n\n"
        "| module | mutants | caught | not caught |\n|---|---:|---:|---:|\n"
        + "\n".join(rows)
        + "\n\n## Not caught\n\n| module | function | | mutants |\n|---|---|---|---:|\n"
        + "\n".join(left)
        + "\n"
    )


def main(names: Sequence[str]) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names or GROUPS:
        prepare(*GROUPS[name])
        mutmut("run", "--max-children", "1")
        found = list(mutants(GROUPS[name][1]))
        kept |= result(found)
        RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        PAGE.write_text(page(kept))
        print(f"{name}: {len(found)} mutants, {sum(not one.is_caught for one in found)} not caught", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
