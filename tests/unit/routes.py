"""Segment's calls as the tests declare them: a route, and the two streams that it leads to."""

from collections.abc import Callable

TRACKS = '''"""What people did."""

from typing import Annotated

from sluice import Integer, Pseudonym, Stream, Text


class Track(Stream, table="tracks", subject="user", identity="id"):
    """A thing that somebody did."""

    id: Annotated[str, Text(max=64)]
    user: Annotated[str, Text(max=32), Pseudonym("subject", domain="subject")]
    size: Annotated[int, Integer(min=0, max=9)] = 0
'''
USERS = '''"""Who people are."""

from typing import Annotated

from sluice import Email, Pseudonym, Stream, Text


class User(Stream, table="users", subject="email", identity="id"):
    """Who somebody is."""

    id: Annotated[str, Text(max=64)]
    email: Annotated[str, Email(), Pseudonym(domain="subject")]
    plan: Annotated[str, Text(max=16)] = "free"
'''
CALLS = '''"""Segment's calls."""

from sluice import Route, eventbridge, json_lines, listed, plain, sns
from streams.tracks import Track
from streams.users import User


class Calls(Route, by="type"):
    """Segment's calls: one queue, a table for each kind of call."""

    to = {"identify": User, "alias": User, "track": Track}
'''

TRACK = {"type": "track", "id": "1", "user": "ada", "size": 3}
IDENTIFY = {"type": "identify", "id": "1", "email": "Ada@Example.com"}


def declare_route(declare: Callable[[str, str], None], old: str = "", new: str = "") -> None:
    """Declare all three, the route with another text in the place of one that it has."""
    assert old in CALLS
    for name, text in {"tracks": TRACKS, "users": USERS, "calls": CALLS.replace(old, new, 1)}.items():
        declare(name, text)
