"""`sluice new`: writes a stream from samples, and shows what its author has to decide."""

import keyword
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from sluice.declaration import envelopes
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError, Rejected
from tools.project import PROJECT
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import detection, messages, table_sql, throwaway
from tools.sluice_cli.authors.findings import Findings
from tools.sluice_cli.authors.messages import Message, Unreadable
from tools.sluice_cli.authors.new import declaration, examples, files, missing, report, samples, wrapping
from tools.sluice_cli.authors.new.files import NotWritten
from tools.sluice_cli.authors.new.names import CLASSES, pascal
from tools.sluice_cli.authors.new.plan import ObjectPlan
from tools.sluice_cli.authors.new.planner import Planner
from tools.sluice_cli.authors.new.wrapping import Opened, Wrapping
from tools.template import FILE, NoSuchPlace, with_stream

NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
LONGEST_NAME = 40  # characters: it is part of the names of queues and alarms
QUEUE = re.compile(r"[A-Za-z0-9_-]{1,76}")  # of 80 characters, with `-dlq`


class EnvelopeName(StrEnum):
    """What is wrapped around a record."""

    PLAIN = "plain"
    SNS = "sns"
    EVENTBRIDGE = "eventbridge"


class Unit(StrEnum):
    """How long a partition spans."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The stream's name: that of its module and its table.")],
    sample_file: Annotated[
        str,
        typer.Option(
            "--samples",
            metavar="FILE",
            help="Records: JSON lines, a JSON array, or a Lambda event of SQS; - is standard input.",
        ),
    ],
    envelope: Annotated[EnvelopeName, typer.Option(help="What is wrapped around a record.")] = EnvelopeName.PLAIN,
    subject: Annotated[
        str,
        typer.Option(
            metavar="FIELD",
            help="The field that says whose record it is: user_id, customer.email. Of several, with commas between,"
            " the first that is there counts.",
        ),
    ] = "",
    identity: Annotated[
        str,
        typer.Option(metavar="FIELD", help="The field that makes a record one, however often sent: event_id."),
    ] = "",
    time: Annotated[
        str, typer.Option(metavar="FIELD", help="The field that tells when it was sent: meta.created_at.")
    ] = "",
    partition: Annotated[
        Unit | None, typer.Option(help="How long a partition of the table spans; a large table stays quick with them.")
    ] = None,
    keep_for: Annotated[
        str, typer.Option(metavar="DAYS", help='How long rows are kept: "400 days". It needs --partition.')
    ] = "",
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="The queue's name; by default the template derives it.")
    ] = None,
) -> None:
    """Write a stream from samples: its declaration, its table, examples, an event, and its word in the template.

    It masks what may be personal data, and marks each such field. `sluice check` fails until you delete the marks.

    No file is overwritten. No value of the samples is shown or written.
    """
    _check_names(name, queue)
    try:
        found = messages.read(None, [sample_file], None)
    except Unreadable as error:
        terminal.fail(str(error), terminal.USAGE)
    wrapped = wrapping.of(_opened(found, envelope), envelope)
    root = samples.records_of(wrapped.records)
    if not root.objects:
        terminal.fail(f"{sample_file}: none of the samples is a JSON object", terminal.USAGE)
    if root.is_map():
        what = "the keys of the samples look like values, not like names of fields"
        hint = f"give {samples.LEAST_OBJECTS} or more: what nearly all of them have is a name"
        terminal.fail(f"{sample_file}: {what}; {hint}", terminal.USAGE)
    subjects = tuple(filter(None, (field.strip() for field in subject.split(","))))
    planner = Planner(_class_name(name), subjects, identity, time)
    plan = planner.plan(root, wrapped.around)
    if not plan.members:
        terminal.fail(f"{sample_file}: there is nothing in the samples that can be declared", terminal.USAGE)
    planner.leave_out(wrapped.beyond_reach, "it is beside the records, inside of the envelope: nothing reads it there")
    retention = {"partition": [partition.value] if partition else [], "keep_for": [keep_for] if keep_for else []}
    source, stream = _declared(name, plan, planner, envelope, wrapped, retention)
    made = _made(name, source, stream, plan, queue)
    findings = Findings(stream, found, throwaway.keyset())
    try:
        files.write(PROJECT, made)
    except NotWritten as error:
        terminal.fail(str(error), terminal.USAGE)
    report.show(name, sample_file, made, findings, planner, plan)
    raise typer.Exit(terminal.REJECTED if findings.rejected else 0)


def _declared(
    name: str,
    plan: ObjectPlan,
    planner: Planner,
    envelope: EnvelopeName,
    wrapped: Wrapping,
    retention: dict[str, list[str]],
) -> tuple[str, type[Stream]]:
    """Return a declaration's text and the stream, or end the command where a field cannot be what it is named for."""
    for field in planner.subject:
        if field not in planner.subject_paths:
            why = missing.why_no_field(field, plan, planner.left_out)
            terminal.fail(f"--subject: {field} is no field of the record that can be declared: {why}", terminal.USAGE)
    named = {
        "identity": (planner.identity, planner.identity_path),
        "time": (planner.time, planner.time_path),
    }
    for option, (field, path) in named.items():
        if field and not path:
            why = missing.why_no_field(field, plan, planner.left_out)
            what = "no field with a single value that can be declared"
            terminal.fail(f"--{option}: {field} is {what}: {why}", terminal.USAGE)
    paths = {option: [path] for option, (_, path) in named.items() if path}
    subject = [planner.subject_paths[field] for field in planner.subject]
    of_persons = {"subject": subject, "mentions": planner.mention_paths}
    source = declaration.source(
        name, plan, envelope, of_persons | paths | {"batch": [planner.batch]} | retention, wrapped
    )
    try:
        return source, declaration.load(name, source)
    except DeclarationError as error:
        terminal.fail(f"{error}; nothing was written", terminal.USAGE)


def _check_names(name: str, queue: str | None) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > LONGEST_NAME:
        what = f"at most {LONGEST_NAME} small letters and digits, with _ between words"
        terminal.fail(f"NAME: must be {what}, such as sign_ups", terminal.USAGE)
    if queue is not None and not QUEUE.fullmatch(queue):
        terminal.fail("--queue: must be 1 to 76 letters, digits, - and _", terminal.USAGE)


def _opened(found: Sequence[Message], envelope: EnvelopeName) -> list[Opened]:
    """Return messages with what they hold. What is not in the envelope is left out, as it is rejected later."""
    unwrap = envelopes.guarded(getattr(envelopes, envelope))
    opened: list[Opened] = []
    for message in found:
        known = envelopes.recognised(unwrap, message.body, message.body)
        other = {"sns_notification": "sns", "eventbridge_event": "eventbridge"}.get(known.reason) if known else None
        if other:
            terminal.fail(f"{message.place}: is in an envelope of AWS; try --envelope {other}", terminal.USAGE)
        try:
            opened.append(Opened(message.body, unwrap(message.body)))
        except Rejected:
            continue
    return opened


def _class_name(name: str) -> str:
    """Return the name of the stream's class: that of one record."""
    made = pascal(detection.singular(name))
    return f"{made}Record" if made in CLASSES else made


def _made(name: str, source: str, stream: type[Stream], plan: ObjectPlan, queue: str | None) -> dict[str, str]:
    """Return the text of each file, or end the command if one of them is there or the template has no place for it."""
    folder = "layers/streams"
    number = files.next_migration(PROJECT / folder / "migrations")
    queue_name = queue or f"{name.replace('_', '-')}-queue"
    made = {
        f"{folder}/{name}.py": source,
        f"{folder}/migrations/{number:04}_{name}.sql": f"-- The table of the stream `{name}`.\n\n"
        + table_sql.create_table(stream),
        f"{folder}/examples/{name}.jsonl": "".join(f"{line}\n" for line in examples.lines(stream, plan)),
        f"events/{name}.json": examples.event(stream, plan, queue_name),
    }
    try:
        files.refuse_existing(PROJECT, made)
        template = (PROJECT / FILE).read_text("utf-8")
        return made | {FILE: with_stream(template, name, queue)}
    except NoSuchPlace as error:
        terminal.fail(f"{FILE}: {error}; nothing was written", terminal.USAGE)
    except NotWritten as error:
        terminal.fail(str(error), terminal.USAGE)
