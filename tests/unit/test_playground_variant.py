"""A variant of a declaration is made in memory, as strictly checked as the declaration itself."""

from collections.abc import Callable

import pytest

from sluice.declaration import description, registry
from sluice.declaration.description import Entry
from sluice.declaration.route import Queued, head_of, streams_of
from sluice.failures import DeclarationError
from tests.unit.cli import STREAM, in_envelope
from tests.unit.routes import CALLS, declare_route
from tools.console.playground.variant import Changeable, changeable, variant

OWN = '''"""Badges."""

from datetime import datetime
from typing import Annotated, Any

from sluice import Each, Email, Find, Keep, NullIf, Pseudonym, Redact, Rejected, Rule, Scrub, Stream, Text, Timestamp
from sluice import Tree, listed

LONGEST = 12


class Badge(Rule):
    def __init__(self, prefix: str) -> None:
        self.before = prefix

    def canonical(self, value: str, /) -> str:
        if not value.startswith(self.before):
            raise Rejected("not_a_badge")
        return value


def shorter(text: str) -> str:
    return text[:1]


class Badges(Stream, table="badges", subject="holder", identity="badge", time="at", records=listed("all"),
             ignore=({"kind": "test"},), batch="batch_id"):
    """Badges."""

    badge: Annotated[str, Badge("b-"), Keep("badge")]
    holder: Annotated[str, Text(max=LONGEST), Pseudonym(domain="subject"), Keep("initial", as_=shorter)]
    note: Annotated[str | None, Text(max=99), Scrub(Find(Email(), Pseudonym(domain="email"))), NullIf("blank")] = None
    rest: Annotated[dict[str, Any] | None, Tree({"/a": Redact()})] = None
    at: Annotated[datetime, Timestamp()]
    lists: Annotated[list[str | None], Each(Text(max=3)), NullIf("invalid")] = []
'''
RAISING = """class Own(Text):
    def __init__(self, text: str) -> None:
        raise ValueError(text)


"""


def said(queued: Queued) -> list[list[tuple[object, ...]]]:
    """Return all that a declaration says of its columns."""

    def told(entry: Entry) -> tuple[object, ...]:
        rule, mask = description.rule_text(entry.rule, entry.null_if), description.mask_text(entry)
        return entry.pointer, entry.type, rule, mask, entry.path, entry.nullable, entry.inside, entry.domain

    return [[told(entry) for entry in description.entries(stream)] for stream in streams_of(queued)]


def columns(queued: Queued) -> set[str]:
    return {entry.column for stream in streams_of(queued) for entry in description.entries(stream)}


@pytest.fixture(params=["visits", "visits in an envelope", "badges", "calls", "calls by an inner key"])
def queued(request: pytest.FixtureRequest, declare: Callable[[str, str], None]) -> Queued:
    name, _, how = str(request.param).partition(" ")
    if name == "calls":
        declare_route(declare, CALLS, CALLS.replace('by="type"', 'by="a.b~c", envelope=sns') if how else CALLS)
    else:
        declare(name, OWN if name == "badges" else in_envelope("sns") if how else STREAM)
    return registry.load_queued(name)


def test_what_is_spelled_anew_as_it_is_declared_is_the_declaration(queued: Queued) -> None:
    fields = changeable(queued)
    changes: dict[str, dict[str, str]] = {}
    for one in fields:
        changes.setdefault(one.stream, {})[one.path] = f" {one.spelled}"
    made = variant(queued, changes)
    assert made is not queued and fields
    assert said(made) == said(queued)
    told, made_told = ([description.head(one) for one in [head_of(of), *streams_of(of)]] for of in (queued, made))
    assert made_told == told
    assert changeable(made) == fields


def test_nothing_changed_is_the_declaration_itself(queued: Queued) -> None:
    assert variant(queued, {}) is queued or said(variant(queued, {})) == said(queued)


def test_fields_are_spelled_as_a_declaration_spells_them(declare: Callable[[str, str], None]) -> None:
    declare("badges", OWN)
    assert changeable(registry.load_queued("badges")) == [
        Changeable("badges", "badge", 'Badge(), Keep("badge")'),
        Changeable("badges", "holder", 'Text(max=12), Pseudonym(domain="subject"), Keep("initial", as_=shorter)'),
        Changeable("badges", "note", 'Text(max=99), Scrub(Find(Email(), Pseudonym(domain="email"))), NullIf("blank")'),
        Changeable("badges", "rest", 'Tree({"/a": Redact()})'),
        Changeable("badges", "at", "Timestamp(), Keep()"),
        Changeable("badges", "lists", 'Each(Text(max=3)), Keep(), NullIf("invalid")'),
    ]


def test_a_field_gets_other_columns(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    visits = registry.load_queued("visits")
    changes = {
        "guest.email": "Email(), Redact()",
        "stops.seats.holder": "Text(max=20), Keep('whose')",
        "mails": "Each(Email()), Keep()",
    }
    made = variant(visits, {"visits": changes})
    assert columns(visits) - columns(made) == {"guest_host", "mail_tokens", "stops[*].seats[*].holder"}
    assert columns(made) - columns(visits) == {"mails", "stops[*].seats[*].whose"}
    assert columns(registry.load_queued("visits")) == columns(visits)


def test_a_rule_of_another_type_takes_the_type_along(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    made = variant(registry.load_queued("visits"), {"visits": {"guest.nickname": "Integer(max=9), Keep()"}})
    (stream,) = streams_of(made)
    (entry,) = [entry for entry in description.entries(stream) if entry.pointer == "/guest/nickname"]
    assert (entry.type, entry.nullable) == ("int | None", True)


def test_a_rule_and_a_function_of_ones_own_can_be_named(declare: Callable[[str, str], None]) -> None:
    declare("badges", OWN)
    changes = {
        "holder": "Badge('c-'), Pseudonym(domain='subject'), Keep('initial', as_=shorter), Keep('x', as_=shorter)"
    }
    made = variant(registry.load_queued("badges"), {"badges": changes})
    assert "x" in columns(made)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Text(max=9), Truncate()", "Visit.kind: Truncate of a text needs the number of characters to keep"),
        ("Text(longest=9)", "Visit.kind: Text: got an unexpected keyword argument 'longest'"),
        ("Text(max=9), Keep('release')", "kind and version are both written to the column release"),
        ("Text(max=", "Visit.kind: write it as in a declaration"),
        ("Keep()", "Visit.kind: must be Annotated[type, rule, mask, …], or a Part"),
        ("'Text'", "Visit.kind: must be Annotated[type, rule, mask, …], or a Part"),
        ("print('x')", "Visit.kind: print is not known here"),
        ("IpAdress()", "Visit.kind: IpAdress is not known here; did you mean IpAddress?"),
        ("IpAddress(), Pseudonym(recoverable=true)", "Visit.kind: true is not known here; did you mean True?"),
        ("Text.__init__", "Visit.kind: write it as in a declaration"),
        ("Visit()", "Visit.kind: write it as in a declaration"),
        ("Text(**{'max': 1})", "Visit.kind: "),
        ("(" * 5000, "Visit.kind: write it as in a declaration"),
        ("Text(max=9)) or (Keep()", "Visit.kind: write it as in a declaration"),
    ],
)
def test_what_is_no_declaration_is_refused_with_the_reason(
    text: str, why: str, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM)
    with pytest.raises(DeclarationError) as refused:
        variant(registry.load_queued("visits"), {"visits": {"kind": text}})
    assert why in str(refused.value)


def test_an_error_of_a_rule_of_ones_own_is_told_by_its_class(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM.replace("class Guest", f"{RAISING}class Guest"))
    with pytest.raises(DeclarationError, match=r"^Visit\.kind: Own: ValueError$"):
        variant(registry.load_queued("visits"), {"visits": {"kind": "Own('kn4ry')"}})
