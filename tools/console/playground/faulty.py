"""A message to begin with that has one given fault, so that a person can mend it and see what the rule is about.

It is an example that is refused so, or made up: of the messages that differ from a good one in one place, the first
that the stream rejects for that reason at that place. The message that was refused has no part in it.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, get_args

from sluice.declaration.offloading import CLASSES
from sluice.declaration.paths import keys_of, with_any_index
from sluice.declaration.route import Queued, head_of
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.ingest.handler import RecordHandler
from sluice.ingest.rows import Rejection
from sluice.pseudonyms.keyset import Keyset
from tools.console.playground import forms
from tools.console.playground.typed import Typed
from tools.sluice_cli.authors import envelopes, examples
from tools.sluice_cli.authors.examples import NotAnExample, Refused
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.messages import Unreadable
from tools.sluice_cli.authors.route_generator import maker

TRIES = 6  # good messages: of a union each is of one case, of a route of one stream
DEEP = "[" * 50_000 + "]" * 50_000  # deeper than any reader of JSON goes
_DEEP = "\ue000"  # stands for it until all is text: no writer of JSON goes that deep either
NESTED = json.loads('{"junk": ' * 100 + "0" + "}" * 100)  # deeper than a Tree goes
TEXTS = ("", " ", "junk", "\0", "\ud800", "fe80::1%eth0", "a" + "\N{COMBINING ACUTE ACCENT}" * 1_000, f"1.{'9' * 30}")
MOMENTS = (  # without a zone, twice or never in a year of summer time, too far off, too exact
    *("2026-01-31", "2026-01-31T09:30:00", "2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-11-01T01:30:00"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-31T09:30:00.1234567890Z"),
)
NUMBERS = (0, -1, 0.5, 1.23456789012, 10**6, 10**12, 10**40, -(10**40), 10**400)
TIMES_AS_LONG = (10, 100, 1_000, 10_000)
ID = "00000000-0000-0000-0000-000000000000"


def text(name: str, queued: Queued, refused: Refused, keyset: Keyset) -> str:
    """Return the text of a message that the stream or route rejects for this reason at this place.

    Raises NotGenerated where there is none.
    """
    for number, line in examples.numbered(name):
        with suppress(NotAnExample):  # `sluice test` tells of it
            if examples.parse(line).refused == refused:
                return forms.filled(name, queued, str(number))
    generator, handle = maker(queued, random.Random(0)), record_handler(queued, keyset)  # nosec B311  # no secret
    for _ in range(TRIES):
        body = generator.body(is_complete=True)
        for faulty in dict.fromkeys(_faulty(head_of(queued), body, refused.pointer)):
            typed = Typed(forms.typed(queued, faulty, generator.attributes), queued)
            if _is_refused(handle, typed, refused):
                return typed.text
    raise NotGenerated(f"{refused.reason} at {refused.pointer or 'the record'} cannot be made up")


def _is_refused(handle: RecordHandler, typed: Typed, refused: Refused) -> bool:
    """Tell whether this fault is all that ingest tells of a text."""
    told: list[Rejected | Rejection] = []
    try:
        for message in typed.messages():
            told += [one.rejection for one in handle(message.record).refusals]
    except Unreadable:
        return False
    except Rejected as rejected:
        told.append(rejected)
    wanted = (refused.reason, with_any_index(refused.pointer))
    return [(one.reason, with_any_index(one.pointer)) for one in told] == [wanted]


def _faulty(stream: type[Stream], body: str, pointer: str) -> Iterator[str]:
    """Yield bodies that differ from a good one in what a pointer names, then such that hold something else."""
    keys = keys_of(pointer)
    with suppress(ValueError):  # JSON lines
        yield from map(_json, _changed(json.loads(body), keys))
    (record, *_) = stream.record_texts(body)
    within = keys[len(keys_of(stream.splitter.pointer(0))) if stream.splitter else 0 :]
    for place in (within, within[:1]):  # what is too deep in a Tree is not there
        for changed in _changed(json.loads(record), place):
            yield envelopes.wrap(stream, _json(changed))
    yield from (body[:-1], f"\ufeff{body}", DEEP)
    yield _json({"Type": "Notification", "MessageId": ID, "TopicArn": envelopes.TOPIC, "Message": body})
    yield _json({"id": ID, "source": "example", "detail-type": stream.__name__, "detail": {}})
    yield _json([get_args(CLASSES)[0], {"s3BucketName": "bucket", "s3Key": ID}])


def _json(value: Any) -> str:
    return json.dumps(value).replace(json.dumps(_DEEP), DEEP)


def _changed(value: Any, keys: Sequence[str]) -> Iterator[Any]:
    """Yield copies of a value that differ in one place, or lack it."""
    if not keys:
        yield from _others(value)
    elif isinstance(value, list):
        for one in _changed(value[0], keys[1:]) if value else ():
            yield [one, *value[1:]]
    elif isinstance(value, dict):
        key, *further = keys
        if key == "*" and value:  # a key of a Tree, which no pointer tells
            key = next(iter(value))
        if not further:
            yield {name: member for name, member in value.items() if name != key}
        for one in _changed(value.get(key), further):
            yield value | {key: one}


def _others(value: Any) -> Iterator[Any]:
    """Yield values that a rule may refuse in the place of one that it takes; long ones last."""
    yield from (None, *TEXTS, *MOMENTS, *NUMBERS, True, [], {}, [None], {"junk": True}, NESTED, _DEEP)
    if isinstance(value, str):
        yield from (f"{value} junk", value[:-1], value[1:], f"{value}0")
    if isinstance(value, int | float):
        yield from (str(value), -value, value + 0.123456789012)
    if isinstance(value, dict):
        yield value | {"junk": _DEEP}
    if isinstance(value, list):
        yield from (value * times for times in TIMES_AS_LONG)
    yield from ("junk " * times for times in TIMES_AS_LONG)
