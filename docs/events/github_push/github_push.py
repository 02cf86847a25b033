"""Pushes to GitHub: what was committed, by whom."""

from datetime import datetime
from typing import Annotated

from sluice import (
    Boolean,
    CaseFolded,
    Email,
    Find,
    Integer,
    NullIf,
    Part,
    Pseudonym,
    Redact,
    Scrub,
    Stream,
    Text,
    Timestamp,
)

NAME = r"(?mi)^[a-z-]+-by: ([^<\n]*[^<\n ])"  # of a trailer: `Signed-off-by: Name <address>`


class Author(Part):
    """Who wrote a commit, or committed it. Git takes any text for an address."""

    username: Annotated[str | None, CaseFolded(max=64), Pseudonym(domain="subject")] = None
    email: Annotated[str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym(domain="email")] = None


class Commit(Part):
    """A commit of the push."""

    id: Annotated[str, Text(max=64)]
    timestamp: Annotated[datetime, Timestamp()]
    distinct: Annotated[bool, Boolean()]
    message: Annotated[
        str | None,
        Text(max=100_000),
        NullIf("blank"),
        Scrub(
            Find(Text(max=200), Redact(constant="[name]"), pattern=NAME),
            Find(Email(fold=True), Pseudonym(domain="email")),
        ),
    ]
    author: Author
    committer: Author


class Owner(Part):
    """Whose repository it is: an organization's or a person's."""

    login: Annotated[str | None, CaseFolded(max=64), Pseudonym(domain="subject")]
    type: Annotated[str, Text(max=32)]


class Repository(Part):
    """Where it was pushed to. Its full name has the owner's name in it."""

    id: Annotated[int, Integer(min=1)]
    name: Annotated[str, Text(max=100)]
    description: Annotated[
        str | None, Text(max=1000), NullIf("blank"), Scrub(Find(Email(fold=True), Redact(constant="[email]")))
    ] = None
    private: Annotated[bool, Boolean()]
    language: Annotated[str | None, Text(max=64)] = None
    pushed_at: Annotated[datetime, Timestamp()]
    owner: Owner


class Pusher(Part):
    """Who pushed, as git knows them."""

    email: Annotated[str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym(domain="email")] = None


class Sender(Part):
    """Who pushed, as GitHub knows them."""

    login: Annotated[str, CaseFolded(max=64), Pseudonym(domain="subject")]
    type: Annotated[str, Text(max=32)]


class Push(
    Stream,
    table="github_pushes",
    subject="sender.login",
    mentions=("commits.author.username", "commits.committer.username", "repository.owner.login"),
    time="repository.pushed_at",
    ignore=({"hook": {"name": "web"}},),
):
    """A push, as GitHub's webhook sends it."""

    ref: Annotated[str, Text(max=1000)]
    before: Annotated[str, Text(max=64)]
    after: Annotated[str, Text(max=64)]
    base_ref: Annotated[str | None, Text(max=1000)] = None
    created: Annotated[bool, Boolean()]
    deleted: Annotated[bool, Boolean()]
    forced: Annotated[bool, Boolean()]
    sender: Sender
    pusher: Pusher
    repository: Repository
    commits: list[Commit]
