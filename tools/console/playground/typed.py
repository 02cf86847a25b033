"""The text that a person typed: the messages in it, and where in it a record's fault stands."""

from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from sluice.declaration import envelopes
from sluice.declaration.layout import Source
from sluice.declaration.outside import OF_PRODUCERS
from sluice.declaration.records import Listed, json_lines
from sluice.declaration.route import Queued, head_of
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.handler import Place
from tools.console.playground.places import Found, Piece
from tools.sluice_cli.authors import messages
from tools.sluice_cli.authors.envelopes import kind
from tools.sluice_cli.authors.messages import Message

LARGEST = 256 * 1024  # characters
AWS = (envelopes.sns, envelopes.eventbridge)  # envelopes that are JSON


@dataclass(frozen=True)
class Typed:
    """A text, which is clear personal data, and what it is typed for."""

    text: str = field(repr=False)
    queued: Queued

    def messages(self) -> list[Message]:
        """Return the messages that the text holds, as `sluice preview` reads a file. Raises Unreadable.

        A text that is no JSON is one message, unless it has the look of JSON lines: it is about to be typed.
        """
        lines = [line.strip() for line in self.text.split("\n") if line.strip()]
        if not lines:
            return []
        is_of_lines = _is_object(lines[0]) or all(line[0] == "{" and line[-1] == "}" for line in lines)
        if is_of_lines or _is_json(self.text):
            return messages.of_text(head_of(self.queued), "text", self.text)
        return [messages.of_body("text", self.text.strip())]

    def find(self, stream: type[Stream], message: Message, within: Place | None, fault: Rejected) -> Found:
        """Return where a fault of a stream's record stands; the pointer is the one that ingest tells.

        A fault of what is not in the text, such as an attribute of its message, stands nowhere.
        """
        source, _, rest = fault.pointer.partition("/")
        given = self._given(message)
        if source == Source.MESSAGE.value:
            return self._attribute(message, rest)
        if source == Source.ENVELOPE.value and message.pointer == "/record":
            return self._around(message).find(f"/{fault.pointer}")  # an example has members of its envelope
        if given is None:
            return Found([])
        if source == Source.ENVELOPE.value:
            return given.find(f"/{rest}")
        held = given if message.pointer == "/record" else _held(stream, given)
        if held is None:
            return given.find("") if kind(stream) in AWS else given.whole
        if within is None and stream.splitter and not isinstance(stream.splitter.records, Listed):
            return held.whole  # it need not be JSON
        record, before = _record(stream, held, within, message.pointer == "/record")
        return record.find(fault.pointer.removeprefix(before))

    def _given(self, message: Message) -> Piece | None:
        """Return the body of a message, or the record that an example puts into an envelope of its own."""
        piece = self._around(message)
        return piece.within(message.pointer) if message.pointer else piece

    def _attribute(self, message: Message, name: str) -> Found:
        """Return where an attribute of a message stands: in an event or in an example, else nowhere."""
        if message.pointer in ("/record", "/body"):
            return self._around(message).find(f"/message/{name}")
        if not message.sent:
            return Found([])
        record = message.pointer.removesuffix("/body")
        of_producers = name.removeprefix(f"{OF_PRODUCERS}/")
        is_of_sqs = of_producers == name
        place = f"/attributes/{name}" if is_of_sqs else f"/messageAttributes/{of_producers}/stringValue"
        return self._around(message).find(record + place)

    def _around(self, message: Message) -> Piece:
        """Return the text, or the line of it, that holds a message."""
        return self._lines[message.line - 1].stripped(" \t\r") if message.line else self._whole

    @cached_property
    def _whole(self) -> Piece:
        return Piece.of(self.text).stripped()

    @cached_property
    def _lines(self) -> list[Piece]:
        return Piece.of(self.text).lines()


def _held(stream: type[Stream], body: Piece) -> Piece | None:
    """Return what the envelope of a body holds, if it can be told where that stands."""
    opened = kind(stream)
    if opened is envelopes.plain:
        return body
    if opened is envelopes.sns:
        return body.within("/Message")
    if opened is envelopes.eventbridge:
        return body.within("/detail")
    try:
        text = stream.unwrap(body.text)
    except Rejected:
        return None
    return _part(body, text if isinstance(text, str) else text.decode(errors="replace"))


def _record(stream: type[Stream], held: Piece, within: Place | None, is_alone: bool) -> tuple[Piece, str]:
    """Return the text that a fault's pointer is to be looked up in, and what to leave out before the pointer."""
    splitter = stream.splitter
    if within is None or splitter is None:
        return held, ""
    if is_alone:  # an example: its record is the first of the message, and there is no other
        return held, within.pointer
    if isinstance(splitter.records, Listed):
        return held, ""
    if splitter.records is json_lines:
        lines = [line for line in held.lines() if line.text.strip()]
        return lines[within.index], within.pointer
    return _part(held, within.text) or held, within.pointer


def _part(piece: Piece, text: str) -> Piece | None:
    start = piece.text.find(text) if text else -1
    return piece.cut(start, start + len(text)) if start >= 0 else None


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _is_object(text: str) -> bool:
    return text.startswith("{") and _is_json(text)
