"""What was masked on the way in can be recovered, erased and re-keyed by those who may, and every time it is logged."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Collected, eventually
from tests.e2e.test_queue_to_row import login, row
from tools.local.emulator import CREDENTIALS, REGION
from tools.local.stack import STACK_NAME, Stack
from tools.testing.deployed import log_of

WHY = ("--reason", "support_request", "--ticket", "PRIV-1")
SLUICE = str(Path(sys.executable).with_name("sluice"))
CANARY_DEVICE = "kn4ry-device-of-operators"


def sluice(stack: Stack, *command: str, exit_code: int = 0) -> str:
    """Run the command as an operator does, and return what it printed."""
    process = subprocess.run(
        [SLUICE, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment(stack),
    )
    assert process.returncode == exit_code, process.stderr
    return process.stdout


def environment(stack: Stack) -> dict[str, str]:
    """Return the environment in which an operator calls that stack."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **ours,
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": stack.emulator.endpoint_url,
        "SLUICE_STACK": STACK_NAME,
    }


def reveal(stack: Stack, *tokens: str, exit_code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(sluice(stack, "reveal", *tokens, *WHY, "--json", exit_code=exit_code))
    return answer


def tokens_of(stack: Stack, message_id: str) -> tuple[str, str]:
    """Wait for a message's row, and return its tokens."""
    eventually(lambda: row(stack, message_id) is not None, True)
    stored = row(stack, message_id)
    assert stored is not None
    return stored[2], stored[3]


def newest_audit_row(stack: Stack) -> dict[str, Any]:
    with stack.connect() as connection:
        rows = connection.run("SELECT to_jsonb(l) FROM audit_log l ORDER BY id DESC LIMIT 1") or []
    found: dict[str, Any] = rows[0][0]
    return found


def test_a_queued_value_is_revealed_and_the_audit_log_says_to_whom_and_why(stack: Stack, sent: Collected) -> None:
    ip, device = tokens_of(stack, sent.send(login(ip="::ffff:203.0.113.9", device_id=CANARY_DEVICE)))
    unknown = "t1_" + "A" * 43
    assert reveal(stack, ip, device, unknown, exit_code=1) == {
        "values": [
            {"token": ip, "domain": "ip", "value": "203.0.113.9"},
            {"token": device, "domain": "device_id", "value": CANARY_DEVICE},
        ],
        "unknown": [unknown],
        "altered": [],
    }
    logged = newest_audit_row(stack)
    assert (logged["action"], logged["reason"], logged["ticket"]) == ("reveal", "support_request", "PRIV-1")
    assert (logged["tokens"], logged["counts"]) == ([ip, device, unknown], {"asked": 3, "found": 2})
    assert logged["actor"] == "unverified"  # the emulator verifies a signature, but tells the function no caller


def test_an_erased_person_is_gone_and_what_was_sent_before_stays_away(stack: Stack, sent: Collected) -> None:
    person, before = str(uuid.uuid4()), str(uuid.uuid4())
    message_id = sent.send(login(user_id=person, device_id=f"{CANARY_DEVICE}-erased"))
    _, device = tokens_of(stack, message_id)
    assert re.search(r"rows of user_logins *│ 1 ", sluice(stack, "forget", "person", person, *WHY, "--dry-run"))
    assert reveal(stack, device)["unknown"] == []
    sluice(stack, "forget", "person", person, *WHY, "--yes")
    assert row(stack, message_id) is None
    assert reveal(stack, device, exit_code=1)["unknown"] == [device]

    late = sent.send(login(user_id=person), sluice_message_id=before, sluice_sent_at="1700000000000")
    sent.erased_or_purged(message_id, late)
    after = sent.send(login(user_id=person, device_id=f"{CANARY_DEVICE}-erased"))
    assert tokens_of(stack, after)[1] == device  # sent after the erasure: stored, and sealed anew
    assert row(stack, before) is None
    assert reveal(stack, device)["values"][0]["value"] == f"{CANARY_DEVICE}-erased"


def test_the_audit_log_is_whole_and_a_changed_row_is_named(stack: Stack, tmp_path: Path) -> None:
    reveal(stack, "t1_" + "B" * 43, exit_code=1)
    heads = tmp_path / "heads"
    heads.write_text(log_of(stack))
    assert json.loads(sluice(stack, "audit", "verify", "--heads", str(heads), "--json"))["intact"] is True
    with stack.connect() as owner:
        owner.run("ALTER TABLE audit_log DISABLE TRIGGER is_final; UPDATE audit_log SET ticket = 'PRIV-2' WHERE id = 1")
        found = json.loads(sluice(stack, "audit", "verify", "--json", exit_code=1))
        assert (found["intact"], found["first_broken"]) == (False, 1)
        owner.run("UPDATE audit_log SET ticket = 'PRIV-1' WHERE id = 1; ALTER TABLE audit_log ENABLE TRIGGER is_final")
    assert json.loads(sluice(stack, "audit", "verify", "--heads", str(heads), "--json"))["intact"] is True


def test_dead_letters_are_told_by_reason_and_redriven_under_the_id_they_had(stack: Stack, sent: Collected) -> None:
    good = sent.send_to_dead_letters(login(device_id=f"{CANARY_DEVICE}-redriven"), valid=True)
    bad = sent.send_to_dead_letters("junk", valid=False)
    listed = json.loads(sluice(stack, "dead-letters", "list", "user_logins", "--json"))["letters"]
    assert {good, bad} <= {letter["id"] for letter in listed}
    assert CANARY_DEVICE not in json.dumps(listed)
    why = ("--reason", "operations", "--ticket", "OPS-1", "--id", good, "--id", bad)
    assert "not_json" in sluice(stack, "dead-letters", "redrive", "user_logins", *why, exit_code=1)
    eventually(lambda: row(stack, good) is not None, True)  # under the id that it had
    gone = sluice(stack, "dead-letters", "purge", "user_logins", *why, "--yes")
    assert "1" in gone
    sent.erased_or_purged(bad)
    left = json.loads(sluice(stack, "dead-letters", "list", "user_logins", "--json"))["letters"]
    assert not {good, bad} & {letter["id"] for letter in left}


def test_a_new_token_key_joins_the_keyset_and_old_tokens_are_still_revealed(stack: Stack, sent: Collected) -> None:
    _, old = tokens_of(stack, sent.send(login(device_id=f"{CANARY_DEVICE}-rekeyed")))
    assert old.startswith("t1_")
    assert "2" in sluice(stack, "keys", "add", "--reason", "security_incident", "--ticket", "PRIV-1")
    keyset = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["KeysetSecretArn"])["SecretString"]
    assert json.loads(keyset).keys() == {"current", "1", "2"}
    assert json.loads(keyset)["current"] == 2
    assert reveal(stack, old)["values"] == [{"token": old, "domain": "device_id", "value": f"{CANARY_DEVICE}-rekeyed"}]


def test_a_watched_status_shows_the_last_hour_and_leaves_the_terminal_as_it_was(stack: Stack, sent: Collected) -> None:
    tokens_of(stack, sent.send(login()))  # its row is there, and so is its batch
    ours, theirs = pty.openpty()
    wide = environment(stack) | {"COLUMNS": "160", "TERM": "xterm"}
    process = subprocess.Popen([SLUICE, "status", "--watch"], stdin=theirs, stdout=theirs, env=wide)
    os.close(theirs)
    seen = b""
    while b"Ctrl-C ends it." not in seen:
        assert select.select([ours], [], [], 60)[0], seen
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    while select.select([ours], [], [], 1)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # Linux says so at the end of a terminal (EIO)
            break
    os.close(ours)
    assert re.search(rb"The last hour, by the ledger.*user_logins *\xe2\x94\x82 [1-9]", seen, re.DOTALL)
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")  # the cursor is shown again


def test_no_operator_leaves_a_clear_value_in_a_log_or_a_table(stack: Stack) -> None:
    with stack.connect() as connection:
        tables = [
            name for (name,) in connection.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") or []
        ]
        dump = "".join(str(connection.run(f"SELECT to_jsonb(t) FROM {table} t")) for table in tables)
    for where in (dump, log_of(stack)):
        assert CANARY_DEVICE not in where
        assert CANARY_DEVICE.encode().hex() not in where


def test_a_stack_that_is_protected_is_not_deleted(stack: Stack) -> None:
    cloudformation = stack.client("cloudformation")
    sluice(stack, "protect")
    with pytest.raises(cloudformation.exceptions.ClientError, match="TerminationProtection"):
        cloudformation.delete_stack(StackName=STACK_NAME)
    sluice(stack, "protect", "--off")
    (described,) = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    assert described["EnableTerminationProtection"] is False


@pytest.mark.parametrize("function", ["RevealFunction", "ForgetFunction", "RekeyFunction", "AuditFunction"])
def test_a_function_is_called_by_its_url_alone_with_a_signature(stack: Stack, function: str) -> None:
    url = stack.client("lambda").get_function_url_config(FunctionName=stack.physical_id(function))
    assert url["AuthType"] == "AWS_IAM"
