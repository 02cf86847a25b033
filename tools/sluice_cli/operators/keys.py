"""The command `sluice keys`: works on the keys by the deployed function, and prints how far it has come."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from typing import Annotated, Any

import typer

from sluice.aws import clients
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment, key_policy
from tools.sluice_cli.operators.deployment import ReasonOption, StackOption, TicketOption

URL_OUTPUT = "RekeyUrl"
POLL_SECONDS = 60  # while others may still work with the key before

app = typer.Typer(help="Add a token key, bring all tokens to it, move the vault to another KMS key. It is audited.")


@app.command(epilog="Example:  sluice keys status --reason key_rotation --ticket OPS-123")
def status(reason: ReasonOption, ticket: TicketOption, stack: StackOption = "") -> None:
    """Say which token key is current, what is being done, and how many data keys another KMS key has wrapped."""
    answer = _call("status", reason, ticket, stack)
    step = f"the tokens are being brought to it ({_standing(answer)})" if answer["step"] else "no work is going on"
    terminal.console().print(f"Key {answer['current']} of {answer['keys']} is current; {step}.")
    if answer["data_keys_to_rewrap"]:
        terminal.console().print(f"{answer['data_keys_to_rewrap']:,} data keys are to be moved: sluice keys rewrap.")


@app.command(epilog="Example:  sluice keys add --reason key_rotation --ticket OPS-123")
def add(reason: ReasonOption, ticket: TicketOption, stack: StackOption = "") -> None:
    """Add a token key and make it the current one; none is dropped. New tokens are made with it within five minutes.

    Until `sluice keys rekey` is done, older rows have tokens of the key before.
    """
    answer = _call("add_key", reason, ticket, stack)
    terminal.console().print(f"Key {answer['current']} of {answer['keys']} is current. Now: sluice keys rekey.")


@app.command(epilog="Example:  sluice keys rekey --reason key_rotation --ticket OPS-123")
def rekey(reason: ReasonOption, ticket: TicketOption, stack: StackOption = "") -> None:
    """Bring every token in rows, vault and erasures to the current key, until that is done.

    It takes at least ten minutes after a key was added: environments may work with the one before for as long.

    It can be stopped at any time: the next run goes on where it was.
    """
    changed = 0
    with _stoppable("rekey"):
        for answer in _until_done("rekey", reason, ticket, stack):
            changed += answer["changed"]
            wait_seconds = int(answer.get("wait_seconds", 0))
            if wait_seconds:
                terminal.note(f"{changed:,} changed; the key before may be in use for {wait_seconds} s more: waiting.")
                time.sleep(min(wait_seconds, POLL_SECONDS))
            elif not answer["done"]:
                terminal.note(f"{changed:,} changed; step {_standing(answer)}.")
    terminal.console().print(f"Done: {changed:,} changed. Every token is of the current key.")


@app.command(epilog="Example:  sluice keys rewrap --reason key_rotation --ticket OPS-123")
def rewrap(reason: ReasonOption, ticket: TicketOption, stack: StackOption = "") -> None:
    """Move the vault's data keys to the KMS key that the stack has now, until that is done. No value is opened.

    It can be stopped at any time: the next run goes on where it was.
    """
    changed = 0
    with _stoppable("rewrap"):
        for answer in _until_done("rewrap", reason, ticket, stack):
            changed += answer["changed"]
            if not answer["done"]:
                terminal.note(f"{changed:,} moved.")
    terminal.console().print(f"Done: {changed:,} moved. Every data key is wrapped by the stack's KMS key.")


@app.command(epilog="Example:  sluice keys policy > vault-key.json")
def policy(
    key: Annotated[
        str, typer.Option("--key", metavar="ARN", help="Key that is to get it; by default that in use.")
    ] = "",
    stack: StackOption = "",
) -> None:
    """Print the policy that a vault key of your own needs, as JSON, with the roles of the deployed stack in it.

    It takes the right to look at the stack, its template and its roles. No function is called, so nothing is audited.
    """
    if key and not re.fullmatch("arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+", key):
        terminal.fail("--key: must be the ARN of a KMS key", terminal.USAGE)
    try:
        terminal.show_json(key_policy.of_vault_key(deployment.deployed(stack), key))
    except deployment.NotAnswered as error:
        terminal.fail(str(error), error.exit_code)
    except clients.errors() as error:
        terminal.fail(deployment.told(error))


def _standing(answer: Mapping[str, Any]) -> str:
    """Return the step, and about how much of it is done. A function of before does not tell that."""
    if answer.get("share") is None:
        return str(answer["step"])
    text = f"{answer['step']}, in {answer['table']}: about {answer['share']:.0%} of all rows"
    left = answer.get("seconds_left")
    return text if left is None else f"{text}, {ceil(left / 60):,} min more at this pace"


def _until_done(action: str, reason: str, ticket: str, stack: str) -> Iterator[dict[str, Any]]:
    done = False
    while not done:
        answer = _call(action, reason, ticket, stack)
        done = bool(answer["done"])
        yield answer


@contextmanager
def _stoppable(action: str) -> Iterator[None]:
    """Say on Ctrl-C that nothing is lost: it ends the waiting alone, the function finishes its call."""
    try:
        yield
    except KeyboardInterrupt:
        terminal.fail(f"stopped; the same command goes on with it: sluice keys {action}")


def _call(action: str, reason: str, ticket: str, stack: str) -> dict[str, Any]:
    return deployment.call(URL_OUTPUT, {"action": action, "reason": reason, "ticket": ticket}, stack)
