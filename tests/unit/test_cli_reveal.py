"""`sluice reveal` calls the function's URL, signed, and shows what it answers."""

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from botocore.exceptions import ClientError

from sluice.operators.audit.audit_log import Reason
from tests.unit.cli import STREAM, run
from tests.unit.fakes import DEVICE_TOKEN, IP_TOKEN
from tests.unit.operators import FakeDeployment
from tools.sluice_cli import app, terminal
from tools.sluice_cli.operators.deployment import WHERE, told

WHY = ("--reason", "fraud_investigation", "--ticket", "PRIV-1")
REASONS = get_args(Reason.__value__)
UNKNOWN = "t1_" + "u" * 43
BADGE = "badge: Annotated[str, Text(max=20), Pseudonym("
IP_VALUE = {"token": IP_TOKEN, "domain": "ip", "value": "199.172.111.135"}


@pytest.fixture(autouse=True)
def values(deployment: FakeDeployment) -> None:
    deployment.answer = (200, {"values": [IP_VALUE], "unknown": [], "altered": []})


def test_the_function_is_called_signed_and_its_values_are_shown(deployment: FakeDeployment) -> None:
    code, output, errors = run("reveal", IP_TOKEN, *WHY, "--json")
    assert (code, errors) == (0, "")
    assert json.loads(output) == {"values": [IP_VALUE], "unknown": [], "altered": []}
    assert deployment.requests == [{"tokens": [IP_TOKEN], "reason": "fraud_investigation", "ticket": "PRIV-1"}]
    (headers,) = deployment.headers
    scope = r"AWS4-HMAC-SHA256 Credential=ours/\d{8}/eu-central-1/lambda/aws4_request, SignedHeaders=content-type;host;"
    assert re.match(scope, headers["Authorization"])
    assert deployment.stacks == ["sluice"]


def test_what_is_unknown_or_altered_fails_the_command(deployment: FakeDeployment) -> None:
    deployment.answer = (200, {"values": [IP_VALUE], "unknown": [UNKNOWN], "altered": [DEVICE_TOKEN]})
    code, output, errors = run("reveal", IP_TOKEN, UNKNOWN, DEVICE_TOKEN, *WHY)
    assert code == 1
    assert IP_TOKEN in output and "199.172.111.135" in output
    assert errors.splitlines() == [
        f"sluice: {UNKNOWN}: not recoverable, for nothing is sealed under it",
        "sluice: as declared here, only these columns are recoverable: orders.customer_email, user_logins.masked_ip,"
        " user_logins.masked_device_id",
        "sluice: nothing is sealed either of a person who was erased, or of another stack",
        f"sluice: {DEVICE_TOKEN}: what is sealed under it was altered",
    ]


def test_a_stream_that_is_declared_wrongly_keeps_nothing_from_being_revealed(
    deployment: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare("bad", "from sluice import Stream\n\nnothing = Nothing()\n")
    declare("visits", STREAM.replace(BADGE, f"{BADGE}recoverable=True"))
    deployment.answer = (200, {"values": [], "unknown": [UNKNOWN], "altered": []})
    errors = run("reveal", UNKNOWN, *WHY)[2]
    assert "sluice: as declared here, only these columns are recoverable: visits.stops[*].badge\n" in errors


def test_a_one_way_column_is_not_told_as_recoverable_where_another_of_its_domain_is(
    deployment: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM.replace('Pseudonym("mail_tokens", ', 'Pseudonym("mail_tokens", recoverable=True, '))
    deployment.answer = (200, {"values": [], "unknown": [UNKNOWN], "altered": []})
    told = run("reveal", UNKNOWN, *WHY)[2].splitlines()[1]  # visits.guest_email has tokens of the same domain
    assert told == "sluice: as declared here, only these columns are recoverable: visits.mail_tokens"


def test_without_a_recoverable_column_that_is_said(
    deployment: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM)
    deployment.answer = (200, {"values": [], "unknown": [UNKNOWN], "altered": []})
    assert "sluice: as declared here, no column is recoverable\n" in run("reveal", UNKNOWN, *WHY)[2]


def test_a_value_cannot_control_the_terminal(deployment: FakeDeployment) -> None:
    value = IP_VALUE | {"value": "\x1b[2Jgone\u202e [red]"}
    deployment.answer = (200, {"values": [value], "unknown": [], "altered": []})
    _, output, _ = run("reveal", IP_TOKEN, *WHY)
    assert "\\x1b[2Jgone\\u202e [red]" in output


@pytest.mark.parametrize(
    ("status", "answer", "line"),
    [
        (429, {"error": "daily_limit", "detail": "as many as one may"}, "as many as one may (HTTP 429)"),
        (403, {"Message": "Forbidden"}, "Forbidden (HTTP 403)"),
        (502, b"Internal Server Error", "the function failed (HTTP 502)"),
        (200, b"[]", "the function failed (HTTP 200)"),
    ],
)
def test_any_other_answer_is_one_line(
    status: int, answer: dict[str, str] | bytes, line: str, deployment: FakeDeployment
) -> None:
    deployment.answer = (status, answer)
    assert run("reveal", IP_TOKEN, *WHY) == (1, "", f"sluice: {line}\n")
    assert len(deployment.requests) == 1


def test_the_stack_is_the_one_that_is_named(deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STACK", "from-environment")
    run("reveal", IP_TOKEN, *WHY)
    run("reveal", IP_TOKEN, *WHY, "--stack", "from-option")
    assert deployment.stacks == ["from-environment", "from-option"]


def test_a_stack_without_the_url_is_told(deployment: FakeDeployment) -> None:
    deployment.outputs = {}
    assert run("reveal", IP_TOKEN, *WHY) == (2, "", "sluice: the stack sluice has no output RevealUrl\n")


def keep(folder: Path, endpoint_url: str) -> None:
    keys = {"region": "us-east-1", "access_key_id": "kept", "secret_access_key": "secret"}
    (folder / "stack.json").write_text(json.dumps({"endpoint_url": endpoint_url, "stack_name": "sluice", **keys}))


def test_a_kept_stack_that_has_stopped_is_told(
    deployment: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    keep(tmp_path, url)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    code, _, errors = run("reveal", IP_TOKEN, *WHY)
    stopped = "sluice: the stack that the demo has kept has stopped: `make down`, then `make demo ARGS=--keep`"
    assert (code, errors.splitlines()[1:], deployment.requests) == (1, [stopped], [])


def test_the_stack_that_the_demo_kept_is_called_where_nothing_else_is_said(
    deployment: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    code, _, errors = run("reveal", IP_TOKEN, *WHY)
    assert (code, errors) == (0, "sluice: this is the stack that the demo has kept; --stack names another one\n")
    assert "Credential=kept/" in deployment.headers[0]["Authorization"]


def test_without_credentials_nothing_is_called(deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    assert run("reveal", IP_TOKEN, *WHY) == (1, "", f"sluice: {NONE_KEPT}Unable to locate credentials; {WHERE}\n")
    assert deployment.requests == []


NONE_KEPT = "the demo has kept no stack here, and on AWS none is found: "
COMMANDS = (
    "reveal TOKEN WHY|forget sweep WHY|keys status WHY|keys policy|audit list|ledger orders|dead-letters list orders"
    "|status|pause orders|resume orders|protect|adopt|doctor|send orders --generate 1"
)


@pytest.mark.parametrize("command", COMMANDS.split("|"))
def test_where_nothing_says_where_the_stack_is_that_is_told(
    command: str, deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    arguments = command.replace("TOKEN", IP_TOKEN).replace("WHY", " ".join(WHY)).split()
    assert run(*arguments) == (1, "", f"sluice: {NONE_KEPT}You must specify a region; {WHERE}\n")
    assert (deployment.stacks, deployment.requests) == ([], [])


def test_a_profile_that_is_not_there_is_told(deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, _, errors = run("reveal", IP_TOKEN, *WHY)
    assert (code, errors) == (1, f"sluice: {NONE_KEPT}The config profile (nobody) could not be found; {WHERE}\n")
    assert deployment.requests == []


def test_a_stack_that_is_not_there_is_told_with_what_names_another(deployment: FakeDeployment, tmp_path: Path) -> None:
    (tmp_path / "stack.json").touch()
    error = ClientError(
        {"Error": {"Code": "ValidationError", "Message": "Stack with id x does not exist"}}, "DescribeStacks"
    )
    assert told(error) == f"{error}; {WHERE}"
    other = ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeStacks")
    assert told(other) == str(other)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((IP_TOKEN, "kn4ry", *WHY), "Invalid value for 'TOKEN': number 2 must be a token: t, the number of its key, _"),
        ((f"{IP_TOKEN}\n", *WHY), "Invalid value for 'TOKEN': number 1 must be a token: t, the number of its key, _"),
        ((IP_TOKEN, "--reason", "kn4ry", "--ticket", "A-1"), f"'--reason': Input should be '{REASONS[0]}', "),
        ((IP_TOKEN, "--reason", "kn4ry", "--ticket", "A-1"), f" or '{REASONS[-1]}'; try --help"),
        (
            (IP_TOKEN, "--reason", "retention", "--ticket", "kn4ry"),
            "'--ticket': must be the id of a ticket, such as PRIV-123; try --help",
        ),
    ],
)
def test_what_the_function_would_refuse_is_refused_before_it_is_called(
    arguments: tuple[str, ...], line: str, deployment: FakeDeployment, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        terminal.run(app, args=["reveal", *arguments])
    errors = capsys.readouterr().err
    assert (ended.value.code, deployment.requests) == (2, [])
    assert line in errors and "kn4ry" not in errors


@pytest.mark.parametrize(("option", "told"), [("--yes", ""), ("--reson", " (Possible options: --reason)")])
def test_an_unknown_option_is_told_with_those_that_are_much_alike(
    option: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        terminal.run(app, args=["dead-letters", "redrive", "orders", option, *WHY])
    assert capsys.readouterr().err == f"sluice: No such option: {option}{told}; try --help\n"
