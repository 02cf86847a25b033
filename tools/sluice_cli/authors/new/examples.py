"""Makes the examples of a new stream: made-up records in the form of the samples, and the rows that they become."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from sluice.declaration import masking, wire
from sluice.declaration.envelopes import plain
from sluice.declaration.originals import Notes
from sluice.declaration.outside import Outside, Reader
from sluice.declaration.paths import keys_of
from sluice.declaration.rules import (
    EPOCHS,
    Boolean,
    Date,
    Each,
    Email,
    Float,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
)
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.postgres.cells import json_cell, json_member
from tools.sluice_cli.authors import envelopes, throwaway
from tools.sluice_cli.authors.new.plan import FieldPlan, Member, ObjectPlan, TreePlan, UnionPlan
from tools.sluice_cli.authors.new.samples import Scalar

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = re.compile(r"t\d+_[\w-]{43}")
MADE_UP = {  # by kind: of those that standards and banks reserve for examples
    "card": "4242424242424242",
    "iban": "GB33BUKB20201555555555",
    "arn": "arn:aws:iam::123456789012:user/person-1",
    "mac": "00:00:5e:00:53:01",  # RFC 7042
    "phone": "020 7946 0001",
    "ip": "192.0.2.1",
    "email": "person1@example.com",
    "name": "A Person",
    "address": "1 Example Street",
    "birth_date": "1990-01-31",
    "url": "https://example.com/1",
    "words": "some words",
    "free_text": "some words",
}

IN_TEXTS = {"phone": "+44 20 7946 0001"}  # where the region is not known


def lines(stream: type[Stream], plan: ObjectPlan) -> list[str]:
    """Return the lines of the stream's examples: whole records, one without all that may be missing, and a refusal."""
    least = 1 if stream.postmark.identity is None else 3  # the number of the record that lacks all it may
    numbers = [(1, True), (2, True), (least, False)]
    made = [_example(plan, record(plan, *number), *number) for number in numbers]
    rows = _rows(stream, made)
    accepted = [f'{json.dumps(one)[:-1]}, "row": {row}}}' for one, row in zip(made, rows, strict=True)]
    return [*dict.fromkeys(accepted), *_refused(stream, plan)]


def _example(plan: ObjectPlan, record_: dict[str, Any], number: int, whole: bool = True) -> dict[str, Any]:
    """Return an example without its row: a record, and what is around it where the stream reads that."""
    return {"record": record_} | ({"envelope": record(plan.around, number, whole)} if plan.around else {})


def record(plan: ObjectPlan, number: int, whole: bool = True) -> dict[str, Any]:
    """Return a record of nobody; if it is not whole, all that may be missing is."""
    made: dict[str, Any] = {}
    for member in plan.own:
        if member.absent and not whole:
            continue
        if member.optional and not whole:
            made[member.key] = None
        else:
            made[member.key] = _member(member, number, whole)
    if plan.kinds:
        tag, case = plan.kinds.cases[number % len(plan.kinds.cases)]
        made |= {plan.kinds.tag: tag} | _member(case, number, whole)
    return made


def _member(member: Member, number: int, whole: bool) -> Any:
    if isinstance(member, FieldPlan):
        return _value(member, number)
    if isinstance(member, TreePlan):
        return _tree(member, number)
    if isinstance(member, UnionPlan):
        _, case = member.cases[number % len(member.cases)]
        inner = _member(case, number, whole)
    else:
        inner = record(member, number, whole)
    return [inner] if member.many else inner


def _tree(plan: TreePlan, number: int) -> dict[str, Any]:
    """Return a map of nobody with a value for each path."""
    made: dict[str, Any] = {}
    for path, field in plan.paths.items():
        inner: Any = made
        *way, last = keys_of(path)
        for key, following in zip(way, [*way[1:], last], strict=False):
            if isinstance(inner, list):
                inner[:] = inner or [{}]
                inner = inner[0]
            else:
                inner = inner.setdefault(key, [] if following == "*" else {})
        inner[last] = _value(field, number)
    return made


def event(stream: type[Stream], plan: ObjectPlan, queue: str) -> str:
    """Return an event of SQS, as Lambda gets it, with one record."""
    message_id = str(UUID(int=1, version=4))
    body = _body(stream, _example(plan, record(plan, 1), 1))
    told = {
        "messageId": message_id,
        "receiptHandle": "example",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(MOMENT.timestamp() * 1000))},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:{queue}",
        "awsRegion": "eu-central-1",
    }
    return json.dumps({"Records": [told]}, indent=2) + "\n"


def _body(stream: type[Stream], example: dict[str, Any]) -> str:
    """Return the body of the message that brings an example."""
    around = example.get("envelope")
    return envelopes.wrap(stream, json.dumps(example["record"]), UUID(int=2, version=4), MOMENT, around)


def _rows(stream: type[Stream], made: list[dict[str, Any]]) -> list[str]:
    """Return the rows of examples as JSON has them, with a label in the place of each token."""
    layout = stream.layout
    decode, reader = wire.decoder(layout.wire), Reader(layout)
    mask = masking.masker(layout, throwaway.keyset(), Notes(), in_json=True)
    columns = [column for column, _ in layout.columns()]
    rows = []
    for one in made:
        decoded = decode(json.dumps(one["record"]))
        reader.read_into(decoded, Outside(_body(stream, one)))
        _, cells = mask(decoded)
        rows.append(json_cell(dict(zip(columns, map(json_member, cells), strict=True))))
    labels: dict[str, str] = {}
    labelled = (TOKEN.sub(lambda token: labels.setdefault(token[0], f"token {len(labels) + 1}"), row) for row in rows)
    return [msgspec.json.format(row, indent=0) for row in labelled]


def _refused(stream: type[Stream], plan: ObjectPlan) -> list[str]:
    """Return the example of a record that lacks a field, or has one that is too long, if there is such a field."""
    made = record(plan, 1)
    required = [member.key for member in plan.own if not member.absent]
    texts = [member for member in plan.own if isinstance(member, FieldPlan) and type(member.guess.rule) is Text]
    if required:
        del made[required[0]]
    elif texts:
        made[texts[0].key] = "x" * (getattr(texts[0].guess.rule, "max", 0) + 1)
    example = _example(plan, made, 1)
    try:
        stream.masker(throwaway.keyset(), envelope=plain)(json.dumps(made), Outside(_body(stream, example)))
    except Rejected as rejected:
        refused = {"reason": rejected.reason, "pointer": rejected.pointer}
        return [json.dumps(example | {"refused": refused})]
    return []


def _value(field: FieldPlan, number: int) -> Any:
    """Return a value of nobody that the field takes, of the form that the samples have."""
    rule, place = field.guess.rule, field.place
    while place.elements and isinstance(rule, Each):
        place, rule = place.elements, rule.rule
    value = _scalar(field, rule, place.present, number)
    rule = field.guess.rule
    while isinstance(rule, Each):
        value, rule = [value], rule.rule
    return value


def _scalar(field: FieldPlan, rule: Rule, values: Sequence[Scalar], number: int) -> Any:
    is_text = all(isinstance(value, str) for value in values)
    match rule:
        case OneOf():
            return rule.choices[number % len(rule.choices)]
        case Boolean():
            return ("true" if number % 2 else "false") if is_text else number % 2 == 1
        case Integer():
            return number
        case Date():
            return f"2026-01-{number:02}"
        case Number() | Float():
            made = str(Decimal(number) + (0 if isinstance(rule, Number) and rule.scale == 0 else Decimal("0.5")))
            return made if is_text else msgspec.json.decode(made)
        case Uuid():
            return str(UUID(int=number, version=4))
        case Timestamp():
            return _moment(rule, values, is_text)
        case IpAddress():
            return f"192.0.2.{number}" if any("." in str(value) for value in values) else f"2001:db8::{number}"
        case Email():
            return f"person{number}@example.com"  # RFC 2606
        case Phone():
            return f"+44207946000{number}"  # of those that Ofcom reserves for fiction
    return _text(field, rule, [str(value) for value in values], number)


def _moment(rule: Timestamp, values: Sequence[Scalar], is_text: bool) -> str | int:
    if rule.format:
        return rule.spelled(MOMENT)
    if is_text and not all(str(value).replace(".", "").isdigit() for value in values):
        return f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}"
    epoch = int(MOMENT.timestamp()) * 10 ** EPOCHS[rule.epoch]
    return str(epoch) if is_text else epoch


def _text(field: FieldPlan, rule: Rule, values: Sequence[str], number: int) -> str:
    lengths = {len(value) for value in values}
    made = MADE_UP.get(field.concern.kind, "") if field.concern else ""
    made = " ".join([made, *((MADE_UP | IN_TEXTS)[kind] for kind in field.concern.held)]) if field.concern else made
    if not made and len(lengths) == 1 and all(re.fullmatch("[0-9a-f]{8,}|[0-9A-F]{8,}", value) for value in values):
        made = f"{number:0{lengths.pop()}}"
    made = made or f"{field.name.replace('_', '-')}-{number}"
    longest = getattr(rule, "max", len(made))
    return made if len(made) <= longest else made[-longest:].lstrip()
