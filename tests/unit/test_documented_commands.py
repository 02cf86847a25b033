"""Every command of README.md and docs/ is run by a test or the CI, or its line says what it needs that we have not."""

import ast
import re

import pytest
import yaml

from tests.documentation import BLOCK, PAGES, ROOT, blocks, prose
from tests.unit.test_cli_docs import PRINTED

NEEDS = ("needs an AWS account", "needs images that can be pulled", "needs the internet")

CI = ".ci/run"
NEW = "tests/unit/test_cli_new.py::test_the_page_shows_what_the_command_prints_and_writes"
E2E = "tests/e2e/test_documented_commands.py::"
FROM_SAMPLES = "tests/e2e/test_new_stream.py::test_a_file_of_samples_becomes_a_stream_that_runs_with_no_other_edit"
KEPT = f"{E2E}kept"
OWN_STREAM = f"{E2E}test_a_stream_of_ones_own_is_looked_at_before_it_is_deployed"
CHANGED = f"{E2E}test_a_changed_declaration_changes_its_table"
ERASED = f"{E2E}test_a_person_is_erased_and_erased_again_after_a_restore"
DEAD_LETTERS = f"{E2E}test_dead_letters_are_listed_redriven_and_purged"
LEDGER = f"{E2E}test_the_ledger_tells_what_became_of_all_that_was_received"
QUEUE = f"{E2E}test_a_queue_is_looked_into"
SENT = f"{E2E}test_records_are_sent_to_a_stream"
PAUSED = f"{E2E}test_a_stream_is_paused_and_resumed"
WATCHED = "tests/e2e/test_operators.py::test_a_watched_status_shows_the_last_hour_and_leaves_the_terminal_as_it_was"
PROTECTED = "tests/e2e/test_operators.py::test_a_stack_that_is_protected_is_not_deleted"
KEYS = f"{E2E}test_a_token_key_is_added_and_the_tokens_brought_to_it"
OWN_KEYS = "tests/e2e/test_keys.py"
AUDITED = f"{E2E}test_the_audit_log_is_listed_and_compared_with_what_was_logged"
WELL = "tests/e2e/test_doctor.py::test_of_a_stack_that_is_well_there_is_nothing_to_do"
BEFORE = "tests/e2e/test_doctor.py::test_before_a_deployment_a_database_alone_is_looked_at"
COMPOSE = "tests/docker/test_compose.py::"
UP_AND_DOWN = f"{COMPOSE}test_what_is_in_the_database_is_there_after_down_and_up"
OF_PROJECT = "tests/docker/conftest.py::Compose.make"

# What runs each: functions, or a file, whose text together has all words of the command. test_cli_docs.py runs those of
# docs/cli.md and docs/scaling.md that print what the page shows.
RUN_BY: dict[str, tuple[str, ...]] = {
    "make setup": ("tests/clone.py::fresh_clone",),
    "make demo": (f"{E2E}test_the_demo_ends_as_the_readme_shows_and_leaves_nothing",),
    "make demo ARGS=--keep": (KEPT,),
    "make demo ARGS=--console": (f"{E2E}test_the_demo_shows_the_console_until_ctrl_c",),
    "sluice console": (f"{E2E}test_the_console_of_the_kept_stack_is_opened",),
    "make chromium": ("Makefile",),
    "make test-browser": ("Makefile", "tests/browser/conftest.py"),
    "make pictures": ("Makefile", "tools/testing/pictures.py"),
    "make redeploy": (f"{E2E}test_a_changed_stream_is_deployed_to_the_stack_that_is_kept",),
    "make help": (f"{E2E}test_make_says_what_there_is_to_make",),
    "make faults": (f"{E2E}test_the_tests_and_the_faults_alone_can_be_run",),
    "make check": (CI,),
    "make test": (f"{E2E}test_the_tests_and_the_faults_alone_can_be_run",),
    "make test-all": (CI,),
    "make pgbouncer": (CI,),
    "make test-oldest": (CI,),
    "make test-server": ("Makefile", "tests/integration/test_foreign_server.py"),
    "make test-server DATABASE_URL='postgresql://login:password@host:5432/database'": (
        "Makefile",
        "tests/integration/test_foreign_server.py",
    ),
    "make coverage": (f"{E2E}test_coverage_is_told_of_all_that_is_deployed_and_of_the_command",),
    "make site": (CI,),
    "make sbom": (CI,),
    "make licences": ("Makefile", "tests/unit/test_licences.py"),
    "make mutants": ("Makefile", "tools/testing/mutants.py"),  # for hours: its page is what it wrote
    "make soak": (CI,),
    "make soak ARGS='--backlog 100000'": ("Makefile", "tests/e2e/test_backlog.py"),
    "make bench": (f"{E2E}test_the_benchmark_measures_and_writes_its_page",),
    "make bench ARGS=--growth": ("Makefile", f"{E2E}test_the_benchmark_measures_and_writes_its_page"),  # with few rows
    "make test-docker": ("Makefile", "tests/docker/test_compose.py"),
    "make up": (f"{COMPOSE}test_make_up_returns_when_both_services_are_healthy",),
    "make up EMULATOR=ministack": (UP_AND_DOWN, OF_PROJECT),
    "make deploy-local EMULATOR=ministack": ("tests/docker/conftest.py::deployed", OF_PROJECT),
    "make send": (f"{COMPOSE}test_make_send_sends_logins_that_become_rows_or_rejections",),
    "make down": (KEPT, UP_AND_DOWN),
    "make down ARGS=--volumes": (UP_AND_DOWN,),
    "make test-localstack": ("Makefile", "tests/localstack/test_localstack.py"),
    "sam deploy": ("tools/local/stack.py::Stack.deploy",),
    "sam delete --stack-name sluice --no-prompts": ("tests/e2e/test_creation.py",),
    "sluice adopt --stack sluice": ("tests/e2e/test_creation.py",),
    "sam local start-lambda": (
        "tests/docker/test_sam_local.py::started_lambda",
        "tests/docker/conftest.py::Compose.sam_local",
    ),
    "sam local invoke LoginsIngestFunction -e events/sqs_mixed_batch.json": (
        "tests/docker/test_sam_local.py::test_the_documented_call_is_answered",
        "tests/docker/conftest.py::Compose.sam_local",
    ),
    "sam build": (OWN_STREAM,),
    "sluice new sign_ups --samples samples.jsonl --subject email": (FROM_SAMPLES,),
    "sluice check": (OWN_STREAM, FROM_SAMPLES),
    "sluice preview sign_ups samples.jsonl": (OWN_STREAM,),
    "sluice send sign_ups samples.jsonl": (FROM_SAMPLES,),
    "sluice tail sign_ups --since 10m": (FROM_SAMPLES,),
    "sluice migration user_logins --write": (CHANGED,),
    "sluice migration sign_ups --write": (CHANGED,),
    "sluice migration clicks --write": (CHANGED,),
    "sluice test clicks --renew": (CHANGED,),
    "sluice check --against main": (f"{E2E}test_what_producers_and_readers_would_notice_is_told",),
    "sluice new visits --samples visits.jsonl --subject visitor.email": (NEW,),
    "sluice reveal t1_37amfWDJiODcsJ-DV5Y8BuAS9jFLsNymEiydi3fGlls --reason fraud_investigation --ticket FRAUD-17": (
        f"{E2E}test_a_token_is_revealed",
    ),
    "sluice forget person - --dry-run --reason data_subject_request --ticket PRIV-123": (ERASED,),
    "sluice forget person - --reason data_subject_request --ticket PRIV-123": (ERASED,),
    "sluice forget sweep --reason retention --ticket PRIV-124": (ERASED,),
    "sluice forget repeat erased.log --reason legal_obligation --ticket PRIV-125": (ERASED,),
    "sluice forget repeat erased.log --reason data_subject_request --ticket PRIV-123": (ERASED,),
    "sluice ledger user_logins": (LEDGER,),
    "sluice ledger user_logins --since 2d --by hour": (LEDGER,),
    "sluice dead-letters list user_logins": (DEAD_LETTERS,),
    "sluice dead-letters redrive user_logins --dry-run --reason operations --ticket OPS-123": (DEAD_LETTERS,),
    "sluice dead-letters redrive user_logins --reason operations --ticket OPS-123": (DEAD_LETTERS,),
    "sluice dead-letters purge user_logins --rejected-as not_json --reason operations --ticket OPS-123": (
        DEAD_LETTERS,
    ),
    "sluice dead-letters purge orders --subject - --reason data_subject_request --ticket PRIV-1": (
        f"{E2E}test_a_persons_dead_letters_are_purged",
    ),
    "sluice preview user_logins --queue <URL of the dead-letter queue> --limit 10": (QUEUE,),
    "sluice preview user_logins --queue"
    " https://sqs.eu-central-1.amazonaws.com/123456789012/login-queue-dlq --limit 10": (QUEUE,),
    "sluice send user_logins --generate 1000 --junk 5% --duplicates 5%": (SENT,),
    "sluice send orders events.jsonl --rate 50": (SENT,),
    "sluice tail user_logins --since 10m --seconds 5": (SENT,),
    "sluice doctor": (WELL,),
    "sluice doctor --stack sluice": (WELL,),
    "sluice doctor --database postgresql://owner@db.example:5432/app --stack sluice": (BEFORE,),
    "sluice doctor --database postgresql://owner@db.example:5432/app --json": (BEFORE,),
    "sluice status": (PAUSED,),
    "sluice status --watch": (WATCHED,),
    "sluice pause user_logins": (PAUSED,),
    "sluice resume user_logins": (PAUSED,),
    "sluice protect": (PROTECTED,),
    "sluice protect --off": (PROTECTED,),
    "sluice keys add --reason security_incident --ticket SEC-4": (KEYS,),
    "sluice keys add --reason key_rotation --ticket OPS-1": (KEYS,),
    "sluice keys status --reason key_rotation --ticket OPS-1": (KEYS,),
    "sluice keys rekey --reason key_rotation --ticket OPS-1": (KEYS,),
    "sluice keys rewrap --reason key_rotation --ticket OPS-1": (KEYS,),
    "sluice keys status --reason operations --ticket OPS-1": (OWN_KEYS,),
    "sluice keys policy > vault-key.json": (OWN_KEYS,),
    "sluice keys policy --key <ARN of the key> > vault-key.json": (OWN_KEYS,),
    "sluice audit list": (AUDITED,),
    "sluice audit verify": (AUDITED,),
    "sluice audit verify --heads heads.log": (AUDITED,),
    "sluice audit verify --heads exported.log": (AUDITED,),
}

COMMAND = re.compile(r"(make|sam|aws|docker|sluice|\.venv/bin/\w+) [a-z]")
PLACEHOLDER = re.compile(r"[A-Z]+…?|<\w+>")


def typed() -> list[tuple[str, bool]]:
    """Return the commands of all blocks, and whether the line says that it needs what we have not."""
    lines = [line.strip() for page in PAGES for text in blocks(page, "console") for line in text.splitlines()]
    commands = [line.removeprefix("$ ").partition(" # ") for line in lines if line.startswith("$ ")]
    return [(command.strip(), any(needs in comment for needs in NEEDS)) for command, _, comment in commands]


def mentioned() -> set[str]:
    """Return the commands in the text of all pages, each as far as it says what to type."""
    found = set()
    for page in PAGES:
        for text in re.findall(r"`([^`\n]+)`", prose(page)):
            if COMMAND.match(text):
                words = text.split()
                end = next((at for at, word in enumerate(words) if PLACEHOLDER.fullmatch(word)), len(words))
                found.add(" ".join(words[:end]))
    return found


TYPED = {command for command, marked in typed() if not marked}
MARKED = {command for command, marked in typed() if marked}


def source(place: str) -> str:
    """Return the text of a file, or of one function in it."""
    file, _, name = place.partition("::")
    text = (ROOT / file).read_text()
    if not name:
        return text
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        (node,) = [one for one in ast.iter_child_nodes(node) if getattr(one, "name", None) == part]
    return ast.get_source_segment(text, node) or ""


def test_every_command_is_run_by_a_test_or_marked_once() -> None:
    accounted = [*RUN_BY, *PRINTED, *MARKED]
    assert len(accounted) == len(set(accounted))
    assert TYPED - {*RUN_BY, *PRINTED} == set()
    assert {one for one in mentioned() if not any(f"{known} ".startswith(f"{one} ") for known in accounted)} == set()


def test_no_command_is_listed_that_no_page_has() -> None:
    assert RUN_BY.keys() - TYPED - mentioned() == set()


@pytest.mark.parametrize("command", RUN_BY)
def test_what_runs_a_command_has_its_words(command: str) -> None:
    text = "\n".join(map(source, RUN_BY[command]))
    words = re.findall(r"[\w-]+", command)
    found = {word.lower() for word in re.findall(r"[\w-]+", text)}
    assert {word.lower() for word in words} - found == set()


def test_make_test_all_runs_every_test() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lists = re.findall(r"^(?:LONG_)?TESTS := (.*)$", makefile, re.MULTILINE)
    paths = {ROOT / path for path in [*" ".join(lists).split(), "tests/browser", "tests/docker"]}
    recipe = makefile.partition("\ntest-all:")[2].partition("\n\n")[0]
    assert " pytest tests/docker " in recipe
    assert (
        " pytest tests/browser " in makefile.partition("\ntest-browser:")[2].partition("\n\n")[0]
    )  # it wants Chromium
    files = (ROOT / "tests").rglob("test_*.py")
    assert [file for file in files if paths.isdisjoint({file, *file.parents})] == []


def test_what_pre_commit_calls_is_part_of_make_check() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    called = source("Makefile").replace("$(BIN)", ".venv/bin")
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    assert [hook["entry"] for hook in local["hooks"] if hook["entry"] not in called] == []


def test_a_command_stands_in_a_block_of_its_kind() -> None:
    others = [text for page in PAGES for language, text in BLOCK.findall(page.read_text()) if language != "console"]
    lines = [line.strip() for text in others for line in text.splitlines()]
    assert [line for line in lines if line.startswith("$ ") or COMMAND.match(line)] == []


def test_a_query_of_the_logs_asks_for_what_is_logged() -> None:
    logged = "\n".join(file.read_text() for file in (ROOT / "layers/common/sluice").rglob("*.py"))
    queries = [text for text in blocks(ROOT / "docs/operations.md", "") if re.match("fields|filter", text)]
    messages = {message for text in queries for message in re.findall(r'message (?:=|in) (\[.*?\]|".*?")', text)}
    names = {name for text in messages for name in re.findall('"(.*?)"', text)}
    assert len(queries) == 7
    assert [name for name in names if f'"{name}"' not in logged] == []
    lists = re.findall(r"^(?:fields|\| display|\| stats .* by) (.*)$", "\n".join(queries), re.MULTILINE)
    fields = {field for text in lists for field in re.findall(r"(?<!@)\b[a-z_]+\b(?!\()", text)}
    of_powertools = {"message", "service"}
    assert [name for name in fields - of_powertools if not re.search(rf'"{name}"|\b{name}=', logged)] == []
