"""Forms: what a person sent from the page, and the text that it begins with."""

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from sluice.declaration.envelopes import plain
from sluice.declaration.records import Listed
from sluice.declaration.route import Queued, head_of
from sluice.postgres.cells import json_cell
from tools.console.playground.typed import LARGEST
from tools.console.playground.variant import Changeable
from tools.sluice_cli.authors import envelopes, examples
from tools.sluice_cli.authors.examples import NotAnExample
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.route_generator import maker

LARGEST_BYTES = 8 * LARGEST  # of a form: a character takes up to twelve, most take one
FIELD = "field:"  # before the stream, another colon and the path of a field, in the names of the inputs
GENERATE, FIRST = "generate", "first"


class TooLarge(Exception):
    """A form, or the text in it, is larger than the playground takes."""


@dataclass(frozen=True)
class Form:
    """What was sent. The text is clear personal data, so no representation shows it."""

    stream: str = ""
    text: str = field(default="", repr=False)
    fill: str = ""  # what the text is to be: `generate`, the line of an example, or `first`
    show_clear: bool = False
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by stream and path

    def changes(self, fields: list[Changeable]) -> dict[str, dict[str, str]]:
        """Return what was declared otherwise, by stream and path."""
        changes: dict[str, dict[str, str]] = {}
        for one in fields:
            text = self.spelled(one)
            if text != one.spelled:
                changes.setdefault(one.stream, {})[one.path] = text
        return changes

    def spelled(self, one: Changeable) -> str:
        """Return what stands in the input of a field; an empty one is as it is declared."""
        return self.declared.get(one.stream, {}).get(one.path, "").strip() or one.spelled


async def read(chunks: AsyncIterator[bytes]) -> Form:
    """Return the form that the body of a request holds. Raises TooLarge."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise TooLarge
    sent = dict(parse_qsl(body.decode("ascii", errors="replace"), keep_blank_values=True, errors="replace"))
    text = sent.get("text", "").replace("\r\n", "\n")  # a browser may send it so
    if len(text) > LARGEST:
        raise TooLarge
    declared: dict[str, dict[str, str]] = {}
    for name, value in sent.items():
        if name.startswith(FIELD):
            stream, _, path = name.removeprefix(FIELD).partition(":")
            declared.setdefault(stream, {})[path] = value
    return Form(sent.get("stream", ""), text, sent.get("fill", ""), "show_clear" in sent, declared)


def offered(name: str) -> list[tuple[str, str]]:
    """Return the examples of a stream: the line of each, and what it must become."""
    found = []
    for number, line in examples.numbered(name):
        try:
            found.append((str(number), examples.expected(examples.parse(line))))
        except NotAnExample:  # `sluice test` tells of it
            continue
    return found


def filled(name: str, queued: Queued, fill: str) -> str:
    """Return the text that was asked for: that of an example, or of a record that is made up.

    Raises NotGenerated, and NotAnExample.
    """
    if fill == GENERATE:
        return _generated(queued)
    line = dict(examples.numbered(name)).get(int(fill) if fill.isdecimal() else 0)
    if line is None:
        raise NotAnExample("there is no such example any more")
    example = examples.parse(line)
    if example.message or example.envelope:  # what is outside of the record has no place in a body
        return _indented(line)
    return _of_body(queued, examples.body(queued, example))


def _generated(queued: Queued) -> str:
    generator = maker(queued, random.Random())  # nosec B311  # no secret
    if own := envelopes.of_ones_own(head_of(queued)):
        raise NotGenerated(f"{own} is of your own: `sluice sample` makes records without it")
    return typed(queued, generator.body(is_complete=True), generator.attributes)


def typed(queued: Queued, body: str, attributes: Mapping[str, Any]) -> str:
    """Return the text of a message: its body, or an example, which has room for the message's attributes."""
    if not attributes:
        return _of_body(queued, body)
    head = head_of(queued)
    example: dict[str, Any] = {"body": body, "message": attributes, "row": {}}
    if envelopes.kind(head) is plain and head.splitter is None:
        example = {"record": msgspec.Raw(body.encode()), "message": attributes, "row": {}}
    return _indented(json_cell(example) if "body" in example else msgspec.json.encode(example).decode())


def _of_body(queued: Queued, body: str) -> str:
    """Return a body so that a person can read it, unless its lines mean something."""
    splitter = head_of(queued).splitter
    return _indented(body) if splitter is None or isinstance(splitter.records, Listed) else body


def _indented(text: str) -> str:
    try:
        return msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):  # the example of a body that is none
        return text
