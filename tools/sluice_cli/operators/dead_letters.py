"""The command `sluice dead-letters`: lists, redrives or purges them. It prints ids, codes and counts.

The deployed function does it: what is in a letter never comes to this machine.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

import typer

from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment, forget
from tools.sluice_cli.operators.deployment import ReasonOption, StackOption, TicketOption
from tools.sluice_cli.sqlstates import named
from tools.sluice_cli.terminal import USAGE, fail

URL_OUTPUT = "DeadLettersUrl"
GONE = ("redriven", "erased", "purged")  # in every call other letters: all else may be told of one more than once
WORDS = {
    "redriven": "sent to the queue",
    "erased": "dropped: the person was erased since",
    "purged": "deleted",
    "not_sent": "not accepted by SQS: they stay",
    "not_deleted": "still here: SQS did not delete them",
    "newer": "sent since this began: they stay",
    "subject_unknown": "do not say whose they are: they stay",
}
# What follows is why a record was rejected: an operator's `--reason` is why somebody acts.
REJECTED_AS = "rejected as"
STILL_FAILING = "stay, since they would still be rejected as"

app = typer.Typer(
    help="List dead letters, send them to their queue again, or delete them. What changes them is audited."
)

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="Its module's name, such as user_logins.")]
IdOption = Annotated[list[str], typer.Option("--id", metavar="ID", help="Only this one; may be repeated.")]
RejectedAsOption = Annotated[
    str, typer.Option("--rejected-as", metavar="CODE", help="Only what was rejected as this, such as not_json.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and end there.")]


@app.command("list", epilog="Example:  sluice dead-letters list user_logins")
def list_letters(
    stream: StreamArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Letters at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    stack: StackOption = "",
) -> None:
    """List dead letters: what each was rejected as, how often it was received, how old it is. No value is shown.

    Others do not see them for the moment; SQS counts one more receive, which has no effect here.
    """
    answer = deployment.call(URL_OUTPUT, {"action": "list", "stream": stream, "limit": limit}, stack)
    if as_json:
        terminal.show_json(answer)
        return
    table = terminal.table("Dead letters", "Id", "Rejected as", "Pointer", "Receives", "Age", "Bytes")
    table.columns[0].no_wrap = True  # so that it can be copied
    table.columns[4].max_width = len("13 days,")  # the time of day below: PostgreSQL's names are long
    for letter in answer["letters"]:
        age = timedelta(seconds=letter["age_seconds"])
        what, where = named(letter["reason"]), letter["pointer"] or terminal.OF_THE_RECORD
        texts = (letter["id"], what, where, letter["receive_count"], age, letter["bytes"])
        table.add_row(*map(terminal.cell, texts))
    terminal.console().print(table)
    if answer["more"]:
        terminal.note("There may be more: --limit.")


@app.command(epilog="Example:  sluice dead-letters redrive user_logins --reason operations --ticket OPS-1 --dry-run")
def redrive(
    stream: StreamArgument,
    reason: ReasonOption,
    ticket: TicketOption,
    id: IdOption = [],  # noqa: B006 (typer reads it, nobody writes it)
    rejected_as: RejectedAsOption = "",
    rate: Annotated[int, typer.Option(min=1, max=1000, help="Letters per second.")] = 100,
    dry_run: DryRunOption = False,
    stack: StackOption = "",
) -> None:
    """Send dead letters to their queue again, with the id and the time that they had.

    Those that the stream as it is deployed would still reject stay. Those of a person who was erased since are dropped.

    It asks no question, so it has no --yes: a letter that is rejected again comes back.
    """
    payload = _payload("redrive", stream, reason, ticket, id, rejected_as) | {"rate": rate}
    total = _until_done(payload | {"dry_run": dry_run}, stack)
    _show(total, STILL_FAILING, dry_run)
    raise typer.Exit(terminal.REJECTED if total.reasons or total.stays else 0)


@app.command(
    epilog="Example:  sluice dead-letters purge orders --subject - --reason data_subject_request --ticket PRIV-1"
)
def purge(
    stream: StreamArgument,
    reason: ReasonOption,
    ticket: TicketOption,
    id: IdOption = [],  # noqa: B006 (typer reads it, nobody writes it)
    rejected_as: RejectedAsOption = "",
    subject: Annotated[
        str,
        typer.Option(
            metavar="PERSON",
            help="Only of this person, as records name them. With - it is asked for, or read from standard input: an"
            " option stays in the shell's history.",
        ),
    ] = "",
    all: Annotated[bool, typer.Option("--all", help="All of the stream.")] = False,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not show first what would go, and do not ask.")] = False,
    stack: StackOption = "",
) -> None:
    """Delete dead letters for good: some, or all."""
    if all == bool(id or rejected_as or subject):
        fail("say which: --id, --rejected-as or --subject, or else --all", USAGE)
    payload = _payload("purge", stream, reason, ticket, id, rejected_as) | {"all": all}
    if subject:
        payload["subject"] = forget.typed_subject() if subject == "-" else subject
    if dry_run or not yes:
        total = _until_done(payload | {"dry_run": True}, stack)
        _show(total, REJECTED_AS, dry_run=True)
        if dry_run:
            return
        terminal.ask("Delete them for good?", "nothing was deleted")
        payload["began_at"] = total.began_at  # what was sent since it was shown stays
    _show(_until_done(payload | {"dry_run": False}, stack), REJECTED_AS, dry_run=False)


@dataclass
class Total:
    """What the calls of a run have told together."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    began_at: int = 0

    @property
    def stays(self) -> int:
        """How many were to go and have not."""
        return self.counts["not_sent"] + self.counts["not_deleted"]

    def add(self, answer: Mapping[str, Any]) -> None:
        self.began_at = answer["began_at"]
        for name in WORDS.keys() & answer.keys():
            self.counts[name] = answer[name] + (self.counts[name] if name in GONE else 0)
        if "failing" in answer:
            self.reasons = Counter(answer["failing"])
        else:
            self.reasons.update(answer["reasons"])


def calls(
    ask: Callable[[Mapping[str, Any]], Mapping[str, Any]], payload: Mapping[str, Any], total: Total
) -> Iterator[Mapping[str, Any]]:
    """Call the function until it has gone through the queue, or a call changes nothing; a dry run is one call.

    Yields each answer, which the total then has.
    """
    asked = dict(payload)
    while True:
        answer = ask(asked)
        total.add(answer)
        yield answer
        if answer["done"] or asked["dry_run"] or not _has_gone(answer):
            return
        asked["began_at"] = answer["began_at"]


def _has_gone(answer: Mapping[str, Any]) -> bool:
    """Tell whether a call has taken letters away."""
    return any(answer.get(name) for name in GONE)


def _payload(action: str, stream: str, reason: str, ticket: str, ids: list[str], rejected_as: str) -> dict[str, Any]:
    payload: dict[str, Any] = {"action": action, "stream": stream, "reason": reason, "ticket": ticket}
    if ids:
        payload["ids"] = [one.lower() for one in ids]
    if rejected_as:
        payload["rejected_as"] = rejected_as
    return payload


def _until_done(payload: dict[str, Any], stack: str) -> Total:
    """Go through the queue, and tell how far it is. Ends the command where more stays than one call looks through."""
    total = Total()
    try:
        for answer in calls(lambda asked: deployment.call(URL_OUTPUT, asked, stack), payload, total):
            gone = sum(total.counts[name] for name in GONE)
            if answer["done"]:
                break
            if payload["dry_run"]:
                terminal.note(f"Of the first {answer['looked_at']:,}: one call looks through no more.")
            elif _has_gone(answer):
                terminal.note(f"{gone:,} are gone; going on.")
            else:
                fail(f"{gone:,} are gone; more letters stay than one call looks through: purge what is not wanted")
        return total
    except KeyboardInterrupt:
        fail("stopped; nothing is lost, and the same command goes on with it")


def _show(total: Total, why: str, dry_run: bool) -> None:
    table = terminal.table("This would be done" if dry_run else "This was done", "what", "count")
    for name, words in WORDS.items():
        if total.counts[name] or (name in ("redriven", "purged") and name in total.counts):
            table.add_row(terminal.cell(words), f"{total.counts[name]:,}")
    for reason, count in sorted(total.reasons.items()):
        table.add_row(terminal.cell(f"{why}: {named(reason)}"), f"{count:,}")
    terminal.console().print(table)
