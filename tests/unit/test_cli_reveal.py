"""`sluice reveal` calls the function's URL, signed, and shows what it answers."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli import STREAM, run
from tests.unit.fakes import DEVICE_TOKEN, IP_TOKEN
from tests.unit.operators import FakeDeployment

WHY = ("--reason", "fraud_investigation", "--ticket", "PRIV-1")
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
    deployment.answer = (200, {"values": [IP_VALUE], "unknown": ["t1_u"], "altered": [DEVICE_TOKEN]})
    code, output, errors = run("reveal", IP_TOKEN, "t1_u", DEVICE_TOKEN, *WHY)
    assert code == 1
    assert IP_TOKEN in output and "199.172.111.135" in output
    assert errors.splitlines() == [
        "sluice: t1_u: not recoverable, for nothing is sealed under it",
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
    deployment.answer = (200, {"values": [], "unknown": ["t1_u"], "altered": []})
    errors = run("reveal", "t1_u", *WHY)[2]
    assert "sluice: as declared here, only these columns are recoverable: visits.stops[*].badge\n" in errors


def test_a_one_way_column_is_not_told_as_recoverable_where_another_of_its_domain_is(
    deployment: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM.replace('Pseudonym("mail_tokens", ', 'Pseudonym("mail_tokens", recoverable=True, '))
    deployment.answer = (200, {"values": [], "unknown": ["t1_u"], "altered": []})
    told = run("reveal", "t1_u", *WHY)[2].splitlines()[1]  # visits.guest_email has tokens of the same domain
    assert told == "sluice: as declared here, only these columns are recoverable: visits.mail_tokens"


def test_without_a_recoverable_column_that_is_said(
    deployment: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM)
    deployment.answer = (200, {"values": [], "unknown": ["t1_u"], "altered": []})
    assert "sluice: as declared here, no column is recoverable\n" in run("reveal", "t1_u", *WHY)[2]


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


def test_the_stack_that_the_demo_kept_is_called_where_nothing_else_is_said(
    deployment: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "stack_name": "sluice",
        "region": "us-east-1",
        "access_key_id": "kept",
        "secret_access_key": "secret",
    }
    (tmp_path / "stack.json").write_text(json.dumps(kept))
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
    assert run("reveal", IP_TOKEN, *WHY) == (1, "", "sluice: Unable to locate credentials\n")
    assert deployment.requests == []
