"""What a changed mask leaves in the rows that are there is told by column and mask, with the SQL that ends it."""

import sys
from collections.abc import Callable

import pytest

from sluice.declaration import registry
from tests.unit.cli import STREAM
from tools.sluice_cli.authors import contract, older_rows
from tools.sluice_cli.authors.older_rows import BY_HAND, IN_JSON, OF_CASES, WHEN, Left

FACE = "    Find,\n    Scrub,\n    Tagged,\n    Tree,\n    Timestamp,\n"
FIELDS = """    note: Annotated[str, Text(max=99)]
    born: Annotated[datetime, Timestamp()]
    tags: Annotated[list[str], Each(Text(max=9), max=3)] = []
    props: Annotated[dict[str, Any], Tree({"/plan": Text(max=9), "/mail": (Email(), Pseudonym())}, others=Keep())] = {}
"""
TEXT = (
    STREAM.replace("    sns,\n", f"{FACE}    sns,\n")
    .replace("import Annotated\n", "import Annotated, Any\nfrom datetime import datetime\n")
    .replace("    source = const", f"{FIELDS}    source = const")
)
KEEPS = "keeps the clear values in the rows that are there"
NOTE = "note: Annotated[str, Text(max=99)"
BADGE = "    badge: Annotated[str, Text(max=20), Pseudonym()]"
FROM_PLAN = '"/plan": Text(max=9), '
END, EMPTY = f"This ends it; {WHEN}:", f"This empties it; {WHEN}:"
TOKEN = "'^t[1-9][0-9]{0,5}_[A-Za-z0-9_-]{43}$'"


@pytest.fixture
def left(declare: Callable[[str, str], None]) -> Callable[[str, str], list[Left]]:
    """Return the function from a declaration of before and one of now to what older rows keep."""

    def compare(old: str, new: str) -> list[Left]:
        for name in ("before", "after"):
            sys.modules.pop(f"streams.{name}", None)
        declare("before", old)
        declare("after", new)
        before, after = (contract.of_stream(registry.load(name)) for name in ("before", "after"))
        told = older_rows.compare({"visits": before}, {"visits": after})
        assert {stream for stream, _ in told} <= {"visits"}
        return [one for _, one in told]

    return compare


CASES = {
    "redacted": (
        (NOTE, f"{NOTE}, Redact()"),
        Left(
            "note",
            f"the column note {KEEPS}: Redact is for new rows alone. {END}",
            "UPDATE visits SET note = NULL WHERE note IS NOT NULL;",
        ),
    ),
    "a constant": (
        (NOTE, f'{NOTE}, Redact(constant="it\'s gone")'),
        Left(
            "note",
            f"the column note {KEEPS}: Redact is for new rows alone. {END}",
            "UPDATE visits SET note = 'it''s gone' WHERE note <> 'it''s gone';",
        ),
    ),
    "tokens": (
        (NOTE, f"{NOTE}, Pseudonym()"),
        Left(
            "note",
            f"the column note {KEEPS}: Pseudonym is for new rows alone. {BY_HAND.format('Pseudonym')}. {EMPTY}",
            f"UPDATE visits SET note = 'masked' WHERE note !~ {TOKEN};",
        ),
    ),
    "a list of tokens": (
        ("Each(Text(max=9), max=3)", "Each(Text(max=9), max=3), Pseudonym()"),
        Left(
            "tags",
            f"the column tags {KEEPS}: Pseudonym is for new rows alone. {BY_HAND.format('Pseudonym')}. {EMPTY}",
            f"UPDATE visits SET tags = '{{}}' WHERE EXISTS (SELECT FROM unnest(tags) AS one WHERE one !~ {TOKEN});",
        ),
    ),
    "less": (
        (NOTE, f"{NOTE}, Truncate(to=3)"),
        Left(
            "note",
            f"the column note {KEEPS}: Truncate is for new rows alone. {END}",
            "UPDATE visits SET note = left(note, 3) WHERE note <> left(note, 3);",
        ),
    ),
    "still less": (
        ("Truncate(to=8)", "Truncate(to=7)"),
        Left(
            "guest_nickname",
            "the column guest_nickname keeps what Truncate left of the values in the rows that are there:"
            f" Truncate is for new rows alone. {END}",
            "UPDATE visits SET guest_nickname = left(guest_nickname, 7)"
            " WHERE guest_nickname <> left(guest_nickname, 7);",
        ),
    ),
    "scrubbed": (
        (NOTE, f"{NOTE}, Scrub(Find(Email(), Redact()))"),
        Left("note", f"the column note {KEEPS}: Scrub is for new rows alone. {BY_HAND.format('Scrub')}"),
    ),
    "a token is redacted": (
        (', Pseudonym(domain="email"), Truncate', ", Redact(), Truncate"),
        Left(
            "guest_email",
            f"the column guest_email keeps the tokens in the rows that are there: Redact is for new rows alone. {END}",
            "UPDATE visits SET guest_email = NULL WHERE guest_email IS NOT NULL;",
        ),
    ),
    "in a list of objects": (
        ("room: Annotated[str, Text(max=20)]", "room: Annotated[str, Text(max=20), Redact()]"),
        Left(
            "stops[*].room",
            f"the column stops, at stops[*].room, {KEEPS}: Redact is for new rows alone. {END}",
            "UPDATE visits SET stops = CASE jsonb_typeof(stops) WHEN 'array' THEN (SELECT coalesce(jsonb_agg("
            "CASE WHEN jsonb_typeof((one_1 -> 'room')) <> 'null' THEN jsonb_set(one_1, ARRAY['room'], 'null')"
            " ELSE one_1 END ORDER BY number_1), '[]') FROM jsonb_array_elements(stops) WITH ORDINALITY"
            " AS each_1 (one_1, number_1)) ELSE stops END WHERE stops IS NOT NULL;",
        ),
    ),
    "tokens in a list of objects": (
        ("room: Annotated[str, Text(max=20)]", "room: Annotated[str, Text(max=20), Pseudonym()]"),
        Left(
            "stops[*].room",
            f"the column stops, at stops[*].room, {KEEPS}: Pseudonym is for new rows alone."
            f" {BY_HAND.format('Pseudonym')}",
        ),
    ),
    "in a Tree": (
        (FROM_PLAN, '"/plan": (Text(max=9), Redact()), '),
        Left(
            "props/plan",
            f"the column props, at props/plan, {KEEPS}: Redact is for new rows alone. {END}",
            "UPDATE visits SET props = CASE WHEN jsonb_typeof((props -> 'plan')) <> 'null'"
            " THEN jsonb_set(props, ARRAY['plan'], 'null') ELSE props END WHERE props IS NOT NULL;",
        ),
    ),
    "dropped from a Tree": (
        (FROM_PLAN, '"/plan": None, '),
        Left(
            "props/plan",
            f"the column props, at props/plan, {KEEPS}: new rows alone go without it. {END}",
            "UPDATE visits SET props = CASE WHEN jsonb_typeof(props) = 'object' THEN props - 'plan' ELSE props END"
            " WHERE props IS NOT NULL;",
        ),
    ),
    "less in a Tree": (
        (FROM_PLAN, '"/plan": (Text(max=9), Truncate(to=1)), '),
        Left("props/plan", f"the column props, at props/plan, {KEEPS}: Truncate is for new rows alone. {IN_JSON}"),
    ),
    "a path that had no word of its own": (
        (FROM_PLAN, f'{FROM_PLAN}"/a/name": (Text(max=9), Redact(constant="-")), '),
        Left(
            "props/a/name",
            f"the column props, at props/a/name, {KEEPS}: Redact is for new rows alone. {END}",
            "UPDATE visits SET props = CASE WHEN jsonb_typeof((props -> 'a')) IN ('array', 'object') THEN"
            " jsonb_set(props, ARRAY['a'], CASE WHEN jsonb_typeof(((props -> 'a') -> 'name')) <> 'null' THEN"
            " jsonb_set((props -> 'a'), ARRAY['name'], '\"-\"') ELSE (props -> 'a') END) ELSE props END"
            " WHERE props IS NOT NULL;",
        ),
    ),
    "what no path names is dropped": (
        (", others=Keep()", ""),
        Left("props/**", f"the column props, at props/**, {KEEPS}. {IN_JSON}"),
    ),
    "a field that is not read any more": (
        ("    note: Annotated[str, Text(max=99)]\n", ""),
        Left("note", f"the column note {KEEPS}. {END}", "ALTER TABLE visits DROP COLUMN note;"),
    ),
    "tokens in another column": (
        (NOTE, f'{NOTE}, Pseudonym("note_token")'),
        Left("note", f"the column note {KEEPS}. {END}", "ALTER TABLE visits DROP COLUMN note;"),
    ),
    "a member that is not read any more": (
        ("    room: Annotated[str, Text(max=20)]\n", ""),
        Left(
            "stops[*].room",
            f"the column stops, at stops[*].room, {KEEPS}. {END}",
            "UPDATE visits SET stops = CASE jsonb_typeof(stops) WHEN 'array' THEN (SELECT coalesce(jsonb_agg("
            "CASE WHEN jsonb_typeof(one_1) = 'object' THEN one_1 - 'room' ELSE one_1 END ORDER BY number_1), '[]')"
            " FROM jsonb_array_elements(stops) WITH ORDINALITY AS each_1 (one_1, number_1)) ELSE stops END"
            " WHERE stops IS NOT NULL;",
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_is_told(name: str, left: Callable[[str, str], list[Left]]) -> None:
    (before, now), told = CASES[name]
    assert before in TEXT
    assert left(TEXT, TEXT.replace(before, now)) == [told]


WEAKER = [
    (NOTE, f'{NOTE}, Keep("other")'),  # the same under another name
    ("Truncate(to=8)", "Truncate(to=9)"),
    (", Truncate(to=8)", ""),
    (BADGE, BADGE.replace("Pseudonym()", 'Pseudonym(domain="x")')),
    (BADGE, BADGE.replace("Pseudonym()", "Pseudonym(recoverable=True)")),
    ('Redact(constant="a note")', 'Redact(constant="no note")'),
    ('Redact(constant="a note")', "Pseudonym()"),
    ("as_=version_number", "as_=len"),
    ('constant("door")', 'constant("gate")'),
    ("(Email(), Pseudonym())", "Email()"),
    ("Text(max=99)", "Text(max=9)"),
    (FROM_PLAN, ""),  # the others are kept
]


@pytest.mark.parametrize(("before", "now"), WEAKER)
def test_of_a_mask_that_leaves_as_much_or_more_nothing_is_told(
    before: str, now: str, left: Callable[[str, str], list[Left]]
) -> None:
    assert before in TEXT
    assert left(TEXT, TEXT.replace(before, now)) == []


def test_sealed_values_are_told(left: Callable[[str, str], list[Left]]) -> None:
    sealed = TEXT.replace(NOTE, f"{NOTE}, Pseudonym(recoverable=True)")
    assert left(sealed, TEXT.replace(NOTE, f"{NOTE}, Pseudonym()")) == [
        Left("note", "the column note has tokens in the rows that are there that can be revealed as before")
    ]
    (one,) = left(sealed, TEXT.replace(NOTE, f"{NOTE}, Redact()"))
    sweep = "`sluice forget sweep` removes the sealed values that no row uses"
    assert one.sentence == (
        f"the column note keeps the tokens in the rows that are there: Redact is for new rows alone. {sweep}. {END}"
    )


def test_a_column_of_several_cases_has_no_statement(left: Callable[[str, str], list[Left]]) -> None:
    cases = TEXT.replace("class Visit(", CARDS).replace("    guest: Guest\n", PAYMENT)
    (one,) = left(cases, cases.replace("Text(max=19)]", "Text(max=19), Redact()]"))
    column = 'payment_number where type is "card"'
    assert one == Left(column, f"the column {column} {KEEPS}: Redact is for new rows alone. {OF_CASES}")


CARDS = """class Card(Part):
    number: Annotated[str, Text(max=19)]


class Account(Part):
    number: Annotated[str, Text(max=34)]


class Visit("""
PAYMENT = """    guest: Guest
    payment: Annotated[Card | Account, Tagged("type", {"card": Card, "sepa": Account})]
"""
