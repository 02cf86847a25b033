"""`sluice preview`: shows the rows, rejections and risks that sample messages would be. It writes nothing."""

from contextlib import suppress
from typing import Annotated, Any

import msgspec
import typer

from sluice.declaration.layout import Source
from sluice.declaration.paths import keys_of
from sluice.declaration.route import Route, head_of, wanted_of
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.message import outside
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, messages, refusals, space, throwaway
from tools.sluice_cli.authors.findings import Accepted, Column, Findings, Record, RejectedRecord
from tools.sluice_cli.authors.hiding import Kept, plain, text
from tools.sluice_cli.authors.messages import Unreadable

SHOWN = 1  # of the rows: all have the same columns
LISTED = 10  # lines of a table
PEEKED = 10  # messages: one call


def preview(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="A Lambda event of SQS, JSON lines, a JSON array or examples; - is standard input.",
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Peek into a queue. Every peek raises the messages' receive count."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"Take no more records; of a queue {PEEKED} unless told.")
    ] = None,
    show_clear: Annotated[bool, typer.Option("--show-clear", help="Show the input too, personal data in it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: everything, of every record.")] = False,
) -> None:
    """Show what the stream would make of records: masked rows, rejections, duplicates, and what masking is worth.

    It writes nothing and needs no stack. The tokens are of a throwaway key: not those of production.

    --queue takes no message away and hides none, but SQS counts: each run raises the receive count by one or two.

    A message that is received more often than the queue's maxReceiveCount moves to its dead-letter queue.
    """
    if bool(files) == bool(queue):
        terminal.fail("preview: either files or --queue", terminal.USAGE)
    declared = declarations.queued(stream)
    head = head_of(declared)
    try:
        if queue:
            found = messages.peek(queue, limit or PEEKED, wanted_of(declared))
        else:
            found = messages.read(head, files or [], limit)
    except Unreadable as error:
        terminal.fail(str(error), terminal.USAGE)
    hashes_per_second = space.hashes_per_second()
    if issubclass(declared, Route):
        streams = [head, *declared.streams()]
        each = [Findings(one, found, throwaway.keyset(), declared) for one in streams]
        _tell_of_route(stream, each, hashes_per_second, show_clear, as_json)
        raise typer.Exit(terminal.REJECTED if any(findings.rejected for findings in each) else 0)
    findings = Findings(declared, found, throwaway.keyset())
    if as_json:
        terminal.show_json({"stream": stream} | _json(findings, hashes_per_second, show_clear))
    else:
        show(findings, hashes_per_second, show_clear)
    raise typer.Exit(terminal.REJECTED if findings.rejected else 0)


def _tell_of_route(name: str, each: list[Findings], hashes_per_second: float, show_clear: bool, as_json: bool) -> None:
    """Tell what becomes of a route's records: those of no stream under the route's own name, then stream by stream."""
    found = {findings.stream.stream_name: findings for findings in each if findings.records}
    if as_json:
        streams = [{"stream": one} | _json(findings, hashes_per_second, show_clear) for one, findings in found.items()]
        terminal.show_json({"route": name, "streams": streams})
        return
    for one, findings in found.items():
        terminal.console().print(terminal.cell(f"{one}:", "bold"))
        show(findings, hashes_per_second, show_clear)


def show(findings: Findings, hashes_per_second: float, show_clear: bool) -> None:
    """Print what the stream would make of the messages, and what masking is worth."""
    console = terminal.console()
    console.print(_summary(findings))
    for accepted in findings.accepted[:SHOWN]:
        _show_row(findings, accepted, show_clear)
    terminal.note_more(findings.accepted, SHOWN)
    refusals.show(findings, LISTED, show_clear)
    _show_nulled(findings)
    _show_exposures(findings)
    _show_duplicates(findings)
    _show_columns(findings, hashes_per_second)
    terminal.note("The tokens are of a throwaway key: not those of production.")


def show_doubts(findings: Findings) -> None:
    """Print how many rows there would be, what would be rejected, and what would be kept that looks personal."""
    terminal.console().print(_summary(findings))
    refusals.show(findings, LISTED, show_clear=False)
    _show_exposures(findings)


def _summary(findings: Findings) -> str:
    records, rows, rejected = findings.records, findings.row_count, len(findings.rejected)
    duplicates = len(findings.accepted) - rows
    counts = f"Records: {records:,}. Rows: {rows:,}. Rejected: {rejected:,}. Duplicates: {duplicates:,}."
    if findings.ignored:
        counts += f" Ignored: {findings.ignored:,}."
    return f"{counts} No row was written."


def _show_row(findings: Findings, accepted: Accepted, show_clear: bool) -> None:
    table = terminal.table(accepted.place, "Field", "Type", *["Input"] * show_clear, "Column", "Stored")
    fields = findings.shape(accepted).get("fields", {})
    document = _document(findings.stream, accepted) if show_clear else None
    around = _around(accepted) if show_clear else None
    pointers = dict(findings.stream.columns())
    for column, value in findings.row(accepted, show_clear).items():
        pointer = pointers.get(column, "")
        is_inside = pointer.startswith("/")
        seen = document if is_inside else around
        given = [terminal.cell(text(_at(seen, pointer if is_inside else f"/{pointer}")) if pointer else "")]
        stored = terminal.cell(text(value), "dim" if isinstance(value, Kept) else "")
        type_name = terminal.cell(refusals.type_at(fields, pointer) if is_inside else "")
        table.add_row(terminal.cell(pointer or "–"), type_name, *given * show_clear, terminal.cell(column), stored)
    terminal.console().print("", table)


def _show_nulled(findings: Findings) -> None:
    nulled = findings.nulled()
    if not nulled:
        return
    table = terminal.table("Invalid, and so NULL", "Field", "Values")
    for pointer, count in nulled.most_common():
        table.add_row(*map(terminal.cell, (pointer, f"{count:,}")))
    terminal.console().print("", table)


def _show_exposures(findings: Findings) -> None:
    exposures = findings.exposures()
    if not exposures:
        return
    table = terminal.table("Kept in the clear, and looks like personal data", "Column", "Looks like", "Rows")
    for exposure in exposures:
        table.add_row(*map(terminal.cell, (exposure.column, exposure.kind, f"{exposure.records:,}")))
    terminal.console().print("", table)


def _show_duplicates(findings: Findings) -> None:
    messages, tokens = findings.repeated_messages(), findings.repeated_tokens()
    if messages:
        table = terminal.table("Same message id: one row", "Message id", "Records")
        for message_id, places in list(messages.items())[:LISTED]:
            table.add_row(terminal.cell(message_id), terminal.cell(_places(places)))
        terminal.console().print("", table)
        terminal.note_more(list(messages), LISTED)
    if tokens:
        most_frequent = {column: (token, places) for column, token, places in reversed(tokens)}
        table = terminal.table(
            "Same token: the same value. Of each column the most frequent", "Column", "Token", "Rows"
        )
        table.columns[1].no_wrap = True  # so that it can be copied
        for column, (token, places) in reversed(most_frequent.items()):
            table.add_row(*map(terminal.cell, (column, token, f"{len(places):,}: {_places(places)}")))
        terminal.console().print("", table)
        terminal.note_more(tokens, len(most_frequent))


def _show_columns(findings: Findings, hashes_per_second: float) -> None:
    columns = findings.columns()
    if not columns or not findings.accepted:
        return
    title = "Masked columns: distinct values in and out, and what a hash without a key would be worth"
    table = terminal.table(title, "Column", "Mask", "Values", "Stored", "Value space", "Plain hash reversed in")
    for column in columns:
        time = space.duration(column.reversed_after(hashes_per_second)) if column.space.size else "–"
        line = (column.name, column.mask, f"{column.values:,}", f"{column.stored:,}", column.space.text, time)
        table.add_row(*map(terminal.cell, line))
    terminal.console().print("", table)
    terminal.note(f"Measured here: {hashes_per_second:,.0f} SHA-256 a second, on one CPU, from Python, of every value.")
    terminal.note("Names, e-mail addresses and domains are guessed from lists, much sooner.")


def _json(findings: Findings, hashes_per_second: float, show_clear: bool) -> dict[str, Any]:
    return {
        "records": findings.records,
        "ignored": findings.ignored,
        "duplicates": len(findings.accepted) - findings.row_count,
        "rows": [_json_row(findings, accepted, show_clear) for accepted in findings.accepted],
        "rejected": [_json_rejected(findings, rejected, show_clear) for rejected in findings.rejected],
        "nulled": findings.nulled(),
        "kept_in_the_clear": [
            {"column": exposure.column, "looks_like": exposure.kind, "rows": exposure.records}
            for exposure in findings.exposures()
        ],
        "same_message_id": [
            {"message_id": message_id, "records": places} for message_id, places in findings.repeated_messages().items()
        ],
        "same_token": [
            {"column": column, "token": token, "records": places}
            for column, token, places in findings.repeated_tokens()
        ],
        "masked_columns": [
            {
                "column": column.name,
                "mask": column.mask,
                "values": column.values,
                "stored": column.stored,
                "value_space_bits": round(column.space.bits, 2),
                "pattern": column.space.pattern,
                "plain_hash_reversed_in_seconds": _seconds(column, hashes_per_second),
            }
            for column in findings.columns()
        ],
        "sha256_per_second": round(hashes_per_second),
    }


def _seconds(column: Column, hashes_per_second: float) -> float | None:
    """Return how long all values take to hash, if there are any and it is not beyond a float."""
    log10 = column.reversed_after(hashes_per_second)
    return float(f"{10**log10:.3g}") if column.values and log10 < 300 else None


def _json_row(findings: Findings, accepted: Accepted, show_clear: bool) -> dict[str, Any]:
    row = {column: plain(value) for column, value in findings.row(accepted, show_clear).items()}
    told = {"record": accepted.place, "shape": findings.shape(accepted), "row": row}
    return told | _input(accepted, show_clear)


def _json_rejected(findings: Findings, record: RejectedRecord, show_clear: bool) -> dict[str, Any]:
    told = {"record": record.place, "reason": record.rejected.reason, "pointer": record.pointer}
    found = [_json_fault(fault, show_clear) for fault in findings.faults(record)]
    return told | {"faults": found, "shape": findings.shape(record)} | _input(record, show_clear)


def _json_fault(fault: Rejected, show_clear: bool) -> dict[str, str]:
    exception = refusals.exception(fault) if show_clear else ""
    return {"reason": fault.reason, "pointer": fault.pointer} | ({"exception": exception} if exception else {})


def _input(record: Record, show_clear: bool) -> dict[str, str]:
    return {"input": record.text} if show_clear else {}


def _document(stream: type[Stream], record: Accepted) -> Any:
    try:
        return msgspec.json.decode(record.text if record.within else stream.unwrap(record.text))
    except (ValueError, RecursionError, Rejected):
        return None


def _around(record: Accepted) -> dict[str, Any]:
    """Return what is outside of a record, by the first word of its pointers."""
    found = outside(record.message.record)
    made: dict[str, Any] = {}
    for source in Source:
        with suppress(ValueError, RecursionError):
            made[source.value] = msgspec.json.decode(found.json(source))
    return made


def _at(document: Any, pointer: str) -> Any:
    """Return what is at a place of a document, or what ends the way to it."""
    for key in keys_of(pointer):
        if not isinstance(document, dict):
            break
        document = document.get(key)
    return document


def _places(places: list[str]) -> str:
    return "; ".join(places[:3]) + ("; …" if len(places) > 3 else "")
