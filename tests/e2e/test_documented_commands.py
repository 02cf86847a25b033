"""The commands of README.md and docs/ as their reader types them: in a fresh clone, on the stack that its demo keeps.

In the order of the README. tests/unit/test_documented_commands.py knows which test runs which command.
"""

import json
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clone import Clone, fresh_clone
from tests.documentation import README, blocks, files_of_ones_own_stream
from tests.e2e.conftest import eventually
from tests.e2e.test_queue_to_row import login
from tests.unit.orders import order
from tools.local.emulator import CREDENTIALS, REGION, Emulator
from tools.template import with_stream

pytestmark = pytest.mark.timeout(600)  # seconds: SAM has built nothing in the clone before

SIGN_UP = {"name": "ada", "email": "Ada@Example.com", "country": "GB", "note": "ring twice"}
SHOWN_TOKEN = "t1_37amfWDJiODcsJ-DV5Y8BuAS9jFLsNymEiydi3fGlls"
SHOWN_QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/login-queue-dlq"
AUDITED = ("reveal", "forget", "rekey", "dead-letters", "maintain")


@dataclass(frozen=True)
class Kept:
    """The stack that the demo has left running, and what it said."""

    clone: Clone
    said: str

    def run(self, command: str, answers: str = "", exit_code: int = 0, **environment: str) -> str:
        return self.clone.run(command, answers, exit_code, **environment)

    def sql(self, query: str) -> str:
        """Run a query with the command that the demo has printed, and return its rows with | between the columns."""
        psql = re.findall(r"^Database +(.*)$", self.said, re.MULTILINE)[0]
        return self.run(f"{psql} --no-align --tuples-only", answers=query)

    @cached_property
    def connections(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.clone.folder / ".sluice" / "stack.json").read_text())
        return found

    def client(self, service: str) -> Any:
        return Emulator(self.clone.folder, port=urlsplit(self.connections["endpoint_url"]).port or 0).client(service)

    def send(self, queue: str, body: object) -> str:
        """Send a record to a queue, by its name, and return its id."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        text = body if isinstance(body, str) else json.dumps(body)
        return str(sqs.send_message(QueueUrl=url, MessageBody=text)["MessageId"])

    def log(self, *functions: str) -> str:
        """Return logs as `aws logs tail --format short` prints them; the AWS CLI itself is not at hand."""
        pages = [
            page
            for function in functions
            for page in self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=f"/sluice/sluice/{function}")
        ]
        return "".join(f"2026-01-01T00:00:00 {event['message']}\n" for page in pages for event in page["events"])


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    with fresh_clone() as clone:
        yield clone


@pytest.fixture(scope="module")
def own_stream(clone: Clone) -> None:
    """The README's three steps to a stream of one's own, and samples of its records."""
    for name, text in files_of_ones_own_stream().items():
        (clone.folder / name).write_text(text)
    template = clone.folder / "template.yaml"
    template.write_text(with_a_word_of_ones_own(template.read_text()))
    samples = (SIGN_UP, SIGN_UP | {"country": "GBR"})
    (clone.folder / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)))


def with_a_word_of_ones_own(template: str) -> str:
    """Return the template with the two lines of it that the README shows."""
    line, words = (text for text in blocks(README, "yaml") if "SignUps" in text)
    for shipped, ours in (("  Streams:\n", f"  Streams:\n{line}"), ("    - [Logins, Orders]\n", words)):
        assert template.count(shipped) == 1
        template = template.replace(shipped, ours)
    return template


@pytest.fixture(scope="module")
def kept(clone: Clone, own_stream: None) -> Iterator[Kept]:
    """What `make demo ARGS=--keep` leaves running, with a stream of one's own; `make down` must stop all of it."""
    try:
        yield Kept(clone, clone.run("make demo ARGS=--keep"))
    finally:
        said = clone.run("make down")
    assert said == "Stopped the AWS emulator and PostgreSQL.\n"
    assert left_behind(clone) == []


def left_behind(clone: Clone) -> list[Path]:
    """Return the folders of stacks; SAM leaves others of its own there, which are empty."""
    return list(clone.temporary.glob("sluice-*"))


def test_the_demo_ends_as_the_readme_shows_and_leaves_nothing(clone: Clone) -> None:
    shown = blocks(README, "")[0]
    assert clone.run("make demo").splitlines()[-3:] == shown.splitlines()[-3:]
    assert left_behind(clone) == []
    assert not (clone.folder / ".sluice" / "stack.json").exists()


def opened(process: subprocess.Popen[str]) -> str:
    """Open the address that a console has printed, and return the page."""
    assert process.stdout
    address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/\?token=\S+", line)))
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(address, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_demo_shows_the_console_until_ctrl_c(clone: Clone) -> None:
    with clone.running("make demo ARGS=--console") as process:
        assert "Stop PostgreSQL for 30 s" in opened(process)
    assert left_behind(clone) == []
    assert not (clone.folder / ".sluice" / "stack.json").exists()


def test_a_changed_stream_rebuilds_its_own_layer_alone(clone: Clone) -> None:
    build = "sam build --build-dir .sluice/build --cached --cache-dir .sluice/cache 2>&1"
    clone.run(f"{build} && sluice check")  # which leaves no bytecode that `sam build` would take for a change
    assert "Cache is invalid" not in clone.run(build)
    with (clone.folder / "layers" / "streams" / "user_logins.py").open("a") as stream:
        stream.write("# another line\n")
    said = clone.run(build)
    assert re.findall(r"Cache is invalid, running build .* layers \((\w+)\)", said) == ["StreamsLayer"]
    assert re.findall(r"Valid cache found, .* layers \((\w+)\)", said) == ["CommonLayer"]


def test_make_says_what_there_is_to_make(clone: Clone) -> None:
    assert {"demo", "test", "test-all", "faults", "soak", "coverage", "check", "bench"} <= set(
        re.findall(r"make (\S+)", clone.run("make help"))
    )


def test_the_tests_and_the_faults_alone_can_be_run(clone: Clone) -> None:
    assert "tests/e2e/test_operators.py::" in clone.run("make test ARGS='--collect-only --quiet'")
    assert "tests/faults/test_postgresql.py::" in clone.run("make faults ARGS='--collect-only --quiet'")


def test_coverage_is_told_of_all_that_is_deployed_and_of_the_command(clone: Clone) -> None:
    told = clone.run("make coverage ARGS='-k test_masks'")
    for file in ("layers/common/sluice/deadline.py", "functions/ingest/app.py", "tools/sluice_cli/terminal.py"):
        assert re.search(rf"^{file} +\d+", told, re.MULTILINE)


def test_the_benchmark_measures_and_writes_its_page(clone: Clone) -> None:
    page = clone.folder / "docs" / "benchmark.md"
    before = page.read_text()
    if not (clone.folder / ".venv-bench").exists():
        pytest.skip("what the benchmark compares with is not installed: `make bench` installs it")
    clone.run("make bench ARGS=--quick")
    assert page.read_text() != before
    growth = json.loads(page.with_suffix(".json").read_text())["growth"]
    assert [size["rows"] for size in growth["sizes"]] == [3_000]


def test_a_stream_of_ones_own_is_looked_at_before_it_is_deployed(clone: Clone, own_stream: None) -> None:
    assert "✓ sign_ups " in clone.run(".venv/bin/sluice check")
    shown = clone.run(".venv/bin/sluice preview sign_ups samples.jsonl", exit_code=1)
    assert "too_long │ /country" in shown
    assert "Records: 2. Rows: 1. Rejected: 1." in shown
    clone.run("sam validate --lint", AWS_DEFAULT_REGION=REGION)
    assert "Build Succeeded" in clone.run("sam build")


def test_what_producers_and_readers_would_notice_is_told(clone: Clone) -> None:
    declaration = clone.folder / "layers" / "streams" / "user_logins.py"
    before = declaration.read_text()
    clone.run("git init --quiet --initial-branch=main && git add layers/streams")
    clone.run("git -c user.name=ann -c user.email=ann@example.com commit --quiet --message streams")
    try:
        declaration.write_text(before.replace("str | None, Text(max=32)", "str | None, Text(max=8)"))
        said = clone.run("sluice check --against main", exit_code=1)
        assert "✗ breaking: user_logins: /locale takes Text(max=8) now, took Text(max=32)" in said
    finally:
        declaration.write_text(before)
        shutil.rmtree(clone.folder / ".git")


def test_a_changed_declaration_changes_its_table(clone: Clone, own_stream: None) -> None:
    streams = clone.folder / "layers" / "streams"
    declaration, clicks = streams / "user_logins.py", streams / "clicks.py"
    before = declaration.read_text()
    examples = streams / "examples" / "clicks.jsonl"
    template = clone.folder / "template.yaml"
    template_before = template.read_text()
    try:
        declaration.write_text(before.replace("str | None, Text(max=32)", "str | None, Text(max=64)"))
        assert "locale TYPE varchar(64);" in clone.run("sluice migration user_logins --write")
        clicks.write_text(before.replace("user_logins", "clicks"))
        assert "CREATE TABLE clicks (" in clone.run("sluice migration clicks --write")
        assert "✗ clicks: template.yaml has no word for it" in clone.run("sluice check", exit_code=1)
        template.write_text(with_stream(template_before, "clicks"))
        assert "✓ clicks " in clone.run("sluice check")
        examples.write_text('{"body": "", "refused": {"reason": "missing"}}\n')
        assert "sluice test clicks --renew" in clone.run("sluice check", exit_code=1)
        assert "line 1 is refused: not_json, was refused: missing" in clone.run("sluice test clicks --renew")
        assert "nothing to change" in clone.run("sluice migration sign_ups --write")
    finally:
        declaration.write_text(before)
        template.write_text(template_before)
        examples.unlink(missing_ok=True)
        for written in (
            clicks,
            *streams.glob("migrations/*_user_logins.sql"),
            *streams.glob("migrations/*_clicks.sql"),
        ):
            if written.name != "0002_user_logins.sql":
                written.unlink()


def test_a_stream_of_ones_own_is_deployed(kept: Kept) -> None:
    message_id = kept.send("sign-up-queue", SIGN_UP)
    row = f"SELECT email_domain, country_code FROM sign_ups WHERE message_id = '{message_id}'"
    eventually(lambda: kept.sql(row), "example.com|GB\n")
    refused = kept.send("sign-up-queue", SIGN_UP | {"country": "GBR"})
    eventually(lambda: refused in kept.run("sluice dead-letters list sign_ups"), True)
    assert " sign_ups " in kept.run("sluice status")


def test_a_changed_stream_is_deployed_to_the_stack_that_is_kept(kept: Kept) -> None:
    stream = kept.clone.folder / "layers" / "streams" / "sign_ups.py"
    refused = "SELECT count(*) FROM rejection WHERE stream = 'sign_ups' AND pointer = '/country'"
    before, rows, refused_before = stream.read_text(), kept.sql("SELECT count(*) FROM user_logins"), kept.sql(refused)
    stream.write_text(before.replace("Text(max=2)", "Text(max=1)"))
    try:
        assert "✓ Deploy" in kept.run("make redeploy")
        kept.send("sign-up-queue", SIGN_UP | {"name": "Grace"})
        eventually(lambda: int(kept.sql(refused)), int(refused_before) + 1)
    finally:
        stream.write_text(before)
        kept.run("make redeploy")
    assert kept.sql("SELECT count(*) FROM user_logins") == rows


def test_what_was_refused_is_told_by_the_database(kept: Kept) -> None:
    (query,) = [sql for sql in blocks(README, "sql") if sql.startswith("SELECT")]
    assert "missing|/user_id|6\n" in kept.sql(query)


def test_a_token_is_revealed(kept: Kept) -> None:
    message_id = kept.send("login-queue", login(device_id="revealed-device"))
    token = f"SELECT masked_device_id FROM user_logins WHERE message_id = '{message_id}'"
    eventually(lambda: kept.sql(token) != "", True)
    command = (
        "sluice reveal t1_37amfWDJiODcsJ-DV5Y8BuAS9jFLsNymEiydi3fGlls --reason fraud_investigation --ticket FRAUD-17"
    )
    assert " revealed-device " in kept.run(command.replace(SHOWN_TOKEN, kept.sql(token).strip()))


def test_a_person_is_erased_and_erased_again_after_a_restore(kept: Kept) -> None:
    person = str(uuid.uuid4())
    rows = f"SELECT count(*) FROM user_logins WHERE user_id = '{person}'"
    kept.send("login-queue", login(user_id=person))
    eventually(lambda: kept.sql(rows), "1\n")
    answers = f"{person}\ny\n"
    shown = kept.run("sluice forget person - --dry-run --reason data_subject_request --ticket PRIV-123", answers)
    assert re.search(r"rows of user_logins *│ 1 ", shown)
    assert kept.sql(rows) == "1\n"
    kept.run("sluice forget person - --reason data_subject_request --ticket PRIV-123", answers)
    assert kept.sql(rows) == "0\n"
    kept.run("sluice forget sweep --reason retention --ticket PRIV-124", "y\n")

    (kept.clone.folder / "erased.log").write_text(kept.log("forget"))
    subject = kept.sql("SELECT subject_token FROM erasure").strip()
    for command in (
        "sluice forget repeat erased.log --reason legal_obligation --ticket PRIV-125",
        "sluice forget repeat erased.log --reason data_subject_request --ticket PRIV-123",
    ):
        assert subject in kept.run(command, "y\n")


def test_dead_letters_are_listed_redriven_and_purged(kept: Kept) -> None:
    good, junk = kept.send("login-queue-dlq", login()), kept.send("login-queue", "junk")
    letters = "sluice dead-letters list user_logins"
    eventually(lambda: re.search(f"{junk} *│ not_json", kept.run(letters)) is not None, True)
    still_failing = 1
    told = kept.run(
        "sluice dead-letters redrive user_logins --dry-run --reason operations --ticket OPS-123",
        exit_code=still_failing,
    )
    assert "would still be rejected as: not_json" in told
    kept.run("sluice dead-letters redrive user_logins --reason operations --ticket OPS-123", exit_code=still_failing)
    eventually(lambda: kept.sql(f"SELECT count(*) FROM user_logins WHERE message_id = '{good}'"), "1\n")
    purge = "sluice dead-letters purge user_logins --rejected-as not_json --reason operations --ticket OPS-123"
    assert "rejected as: not_json" in kept.run(purge, "y\n")
    assert junk not in kept.run(letters)


def test_a_persons_dead_letters_are_purged(kept: Kept) -> None:
    kept.send("order-queue-dlq", {"customer": {"email": "Ada@Example.com"}})
    purge = "sluice dead-letters purge orders --subject - --reason data_subject_request --ticket PRIV-1"
    assert re.search(r"deleted *│ 1 ", kept.run(purge, "Ada@example.com\ny\n"))


def test_a_queue_is_looked_into(kept: Kept) -> None:
    # What the tests before have redriven may be back: the limit must not hide what is sent now.
    kept.client("sqs").purge_queue(QueueUrl=kept.connections["queues"]["user_logins"]["dead_letters"])
    kept.send("login-queue-dlq", "junk")
    settings = {"AWS_ENDPOINT_URL": kept.connections["endpoint_url"], "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}
    some_rejected = 1
    for command in (
        "sluice preview user_logins --queue <URL of the dead-letter queue> --limit 10",
        "sluice preview user_logins --queue"
        " https://sqs.eu-central-1.amazonaws.com/123456789012/login-queue-dlq --limit 10",
    ):
        queue_url = kept.connections["queues"]["user_logins"]["dead_letters"]
        on_ours = command.replace("<URL of the dead-letter queue>", queue_url).replace(SHOWN_QUEUE, queue_url)
        assert "not_json" in kept.run(on_ours, exit_code=some_rejected, **settings)


def test_records_are_sent_to_a_stream(kept: Kept) -> None:
    rows = "SELECT count(*) FROM user_logins"
    before = int(kept.sql(rows))
    told = kept.run("sluice send user_logins --generate 1000 --junk 5% --duplicates 5%")
    assert told.startswith("Sent 1,050 messages to the stream user_logins of the stack sluice: 1,000 records, 50 of")
    eventually(lambda: int(kept.sql(rows)) - before, 950)
    lines = kept.run("sluice tail user_logins --since 10m --seconds 5").splitlines()
    assert sum(" row  " in line and "user_id=(kept)" in line for line in lines) >= 950
    assert sum(" rejected " in line for line in lines) >= 50
    (kept.clone.folder / "events.jsonl").write_text(f"{order()}\n{order(status='lost')}\n")
    assert "2 records" in kept.run("sluice send orders events.jsonl --rate 50")
    letters = "sluice dead-letters list orders"
    eventually(lambda: "not_a_choice" in kept.run(letters), True)


def test_the_console_of_the_kept_stack_is_opened(kept: Kept) -> None:
    with kept.clone.running("sluice console") as process:
        assert "Stop PostgreSQL for 30 s" in opened(process)
    assert process.returncode == 0


def test_a_stream_is_paused_and_resumed(kept: Kept) -> None:
    kept.run("sluice pause user_logins")
    assert re.search(r"user_logins *│ Disabl.*│ since ", kept.run("sluice status"))
    kept.run("sluice resume user_logins")
    assert re.search(r"user_logins *│ Enabl", kept.run("sluice status"))


def test_a_token_key_is_added_and_the_tokens_brought_to_it(kept: Kept) -> None:
    kept.run("sluice keys add --reason security_incident --ticket SEC-4")
    kept.run("sluice keys add --reason key_rotation --ticket OPS-1")
    assert "Key 3 of 3 is current" in kept.run("sluice keys status --reason key_rotation --ticket OPS-1")
    kept.run("sluice keys rewrap --reason key_rotation --ticket OPS-1")
    rekey = "sluice keys rekey --reason key_rotation --ticket OPS-1"  # takes ten minutes; it can be stopped at any time
    with subprocess.Popen(
        shlex.split(rekey), cwd=kept.clone.folder, env=kept.clone.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(" more: waiting.\n")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 1


def test_the_ledger_tells_what_became_of_all_that_was_received(kept: Kept) -> None:
    for command in ("sluice ledger user_logins", "sluice ledger user_logins --since 2d --by hour"):
        assert "Received" in kept.run(command)
    periods = json.loads(kept.run("sluice ledger user_logins --json"))
    assert sum(one["written"] - one["removed"] for one in periods) == int(kept.sql("SELECT count(*) FROM user_logins"))


def test_the_audit_log_is_listed_and_compared_with_what_was_logged(kept: Kept) -> None:
    assert "reveal" in kept.run("sluice audit list")
    assert "The audit log is intact" in kept.run("sluice audit verify")
    rows = int(kept.sql("SELECT count(*) FROM audit_log"))
    for name in ("heads.log", "exported.log"):
        (kept.clone.folder / name).write_text(kept.log(*AUDITED))
    for command in ("sluice audit verify --heads heads.log", "sluice audit verify --heads exported.log"):
        assert f"is intact: {rows} rows, {rows} compared with what was logged" in kept.run(command)
