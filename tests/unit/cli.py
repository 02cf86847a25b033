"""The command `sluice` as the tests run it, and a stream that has one of everything."""

import re
from typing import Any

from typer.testing import CliRunner

from tools.sluice_cli import app

PUSHES = '''"""Pushes."""

from datetime import datetime
from typing import Annotated

from sluice import Part, Stream, Text, Timestamp


class Commit(Part):
    id: Annotated[str, Text(max=40)]


class Push(Stream, table="pushes", identity="commit.id", time="at"):
    commit: Commit
    at: Annotated[datetime, Timestamp()]
    note: Annotated[str | None, Text(max=9)] = None
'''

STREAM = '''"""Visits."""

from typing import Annotated

from sluice import (
    Each,
    Email,
    Integer,
    IpAddress,
    Keep,
    OneOf,
    Part,
    Pseudonym,
    Redact,
    Stream,
    Text,
    Truncate,
    Version,
    constant,
    derived,
    sns,
    version_number,
)


class Guest(Part):
    """Who came."""

    email: Annotated[str, Email(), Pseudonym(domain="email"), Truncate("guest_host")]
    nickname: Annotated[str | None, Text(max=20), Truncate(to=8)] = None


class Seat(Part):
    """Whose chair."""

    row: Annotated[int, Integer(min=1)]
    holder: Annotated[str, Text(max=20), Pseudonym()]


class Stop(Part):
    """Where to."""

    room: Annotated[str, Text(max=20)]
    badge: Annotated[str, Text(max=20), Pseudonym()]
    note: Annotated[str | None, Text(max=20), Redact(constant="a note")] = None
    seats: list[Seat] = []


class Visit(Stream, table="visits"):
    """A visit, as the door sends it.

    More than one line.
    """

    kind: Annotated[str, OneOf("in", "out")]
    version: Annotated[str, Version(), Keep("release", as_=version_number)]
    mails: Annotated[list[str], Each(Email(), max=3), Pseudonym("mail_tokens", domain="email")] = []
    guest: Guest
    stops: list[Stop] = []
    source = constant("door")

    @derived
    def stop_count(self) -> int:
        return len(self.stops)
'''
TOKEN = re.compile(r"t1_[A-Za-z0-9_-]{43}")


def in_envelope(envelope: str) -> str:
    """Return the stream with an envelope of `sluice`."""
    text = STREAM.replace("    sns,\n", "    eventbridge,\n    plain,\n    sns,\n")
    return text.replace('table="visits"', f'table="visits", envelope={envelope}')


def run(*arguments: str, input: str | bytes | None = None) -> tuple[int, str, str]:
    """Return exit code, output and errors of the command."""
    result = CliRunner().invoke(app, arguments, input=input, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def numbered_tokens(text: str) -> str:
    """Return the text with each token replaced by `token` and its number, in the order in which they first come."""
    numbers: dict[str, int] = {}
    return TOKEN.sub(lambda token: f"token {numbers.setdefault(token[0], len(numbers) + 1)}", text)


def without(columns: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the objects without one of their members."""
    return [{key: value for key, value in column.items() if key != name} for column in columns]
