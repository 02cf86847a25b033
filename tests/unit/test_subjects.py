"""Whose record it is, and whom it mentions: what a stream may name for it, and what is read of a record."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration import description, whose
from sluice.declaration.masks import Keep, Pseudonym, Redact, Truncate
from sluice.declaration.rules import Each, Email, Text, Uuid
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Part, Stream
from sluice.failures import DeclarationError
from sluice.pseudonyms.keyset import Keyset
from tools.sluice_cli.authors import contract, describe, table_sql

KEYSET = Keyset({1: "K" * 64}, 1)
SUBJECT = Pseudonym(domain="subject")
EMAIL, NULLABLE = Annotated[str, Email(), SUBJECT], Annotated[str | None, Email(), SUBJECT]


class Person(Part):
    email: Annotated[str | None, Email(), SUBJECT] = None
    clear: Annotated[str, Text(max=9)] = "clear"


class Sure(Part):
    email: Annotated[str, Email(), SUBJECT]
    emails: Annotated[list[str], Each(Email()), SUBJECT]


MEMBERS: dict[str, Any] = {
    "plain": Annotated[str, Text(max=9)],
    "made": Annotated[str, Text(max=9), Keep(as_=len)],
    "redacted": Annotated[str, Email(), Redact()],
    "short": Annotated[str, Email(), Truncate()],
    "other": Annotated[str | None, Email(), Pseudonym()],
    "both": Annotated[str | None, Email(), Keep(), Pseudonym("both_token", domain="subject")],
    "token": EMAIL,
    "nullable": NULLABLE,
    "tokens": Annotated[list[str], Each(Email()), SUBJECT],
    "kept": Annotated[list[str], Each(Email())],
    "in_json": Annotated[list[str], Each(Email(), json=True), SUBJECT],
    "text": Annotated[str, Text(max=99), Scrub(Find(Email(), Pseudonym("noted", domain="subject")))],
    "person": Person,
    "sure": Sure,
    "maybe": Sure | None,
    "people": list[Sure],
}


def declare(**options: Any) -> Any:
    namespace = {"__annotations__": MEMBERS, "__module__": "streams.declared", "__doc__": "Declared."}
    make: Any = type(Stream)
    return make("Declared", (Stream,), namespace, table="declared", **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"subject": ("plain", "plain")}, "the subject names a field twice"),
        ({"subject": "other"}, "the subject other must be kept, or be a Pseudonym of the domain subject"),
        ({"subject": ("plain", "made")}, "the subject made must be kept, or be a Pseudonym of the domain subject"),
        ({"subject": "in_json"}, "the subject in_json must be an array, to be looked up: Each without json"),
        (
            {"subject": "people.email"},
            "the subject people.email goes through people, a list of objects, which is a column of JSON;"
            " a list of people is a field of its own: Annotated[list[str], Each(…)]",
        ),
        ({"subject": ("plain", "")}, "the subject must be a field's name, or a tuple of such names"),
        ({"subject": ["plain"]}, "the subject must be a field's name, or a tuple of such names"),
        ({"mentions": 5}, "the mentions must be a field's name, or a tuple of such names"),
        (
            {"identity": "plain", "subject": ("nullable", "plain")},
            "the identity plain is the subject, too; ids are in logs and rejections, which no erasure reaches",
        ),
        ({"mentions": "other"}, "the mention other must be a Pseudonym of the domain subject"),
        ({"mentions": "redacted"}, "the mention redacted must be a Pseudonym of the domain subject"),
        *(
            ({"mentions": path}, f"the mention {path} is kept in the clear, where no erasure finds it;{change}")
            for change in [" mask it with a Pseudonym"]
            for path in ("plain", "both", "kept", "person.clear")
        ),
        *(
            ({"mentions": path}, f"the mention {path} becomes NULL with an erasure: give its type `| None`")
            for path in ("token", "sure.email")
        ),
        (
            {"subject": ("plain", "nullable"), "mentions": ("nullable",)},
            "the mention nullable is the subject, too: the whole row is erased with its subject",
        ),
    ],
)
def test_what_no_erasure_could_find_or_take_out_is_a_declaration_error(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(**options)
    assert str(caught.value) == f"Declared: {told}"


def test_a_mention_may_be_in_every_place_that_can_be_without_it() -> None:
    paths = ("nullable", "tokens", "in_json", "text", "person.email", "maybe.email", "people.email", "people.emails")
    mentioned = declare(mentions=paths).mentioned
    assert mentioned.paths == paths
    assert [(place.column, place.path) for place in mentioned.places] == [
        ("nullable", ()),
        ("tokens", ()),
        ("in_json", ()),
        ("noted", ()),
        ("person_email", ()),
        ("maybe_email", ()),
        ("people", ("email",)),
        ("people", ("emails",)),
    ]
    assert [text.column for text in mentioned.texts] == ["text"]


class Visit(Stream, table="visits", subject=("user_id", "device.id", "others"), mentions="invited_by"):
    """A visit."""

    class Device(Part):
        id: Annotated[str | None, Uuid()] = None

    user_id: Annotated[str | None, Email(), SUBJECT] = None
    device: Device | None = None
    others: Annotated[list[str] | None, Each(Email())] = None
    invited_by: Annotated[str | None, Email(), SUBJECT] = None


UUID = "0190b6c4-5c5b-7000-8000-a8b1d2c3e4f5"


@pytest.mark.parametrize(
    ("body", "persons"),
    [
        ({"user_id": "Ann@Example.com", "device": {"id": UUID}}, ("Ann@example.com",)),
        ({"user_id": None, "device": {"id": UUID.upper()}, "others": ["a@b.example"]}, (UUID,)),
        ({"device": None, "others": ["a@b.example", "c@d.example"]}, ("a@b.example", "c@d.example")),
        ({"device": {}, "others": ["a@b.example"]}, ("a@b.example",)),
        ({"others": [], "invited_by": "a@b.example"}, ()),
        ({}, ()),
        ({"user_id": "nobody", "others": ["a@b.example"]}, ()),  # said, but in no way that names anybody
        ({"user_id": ["a@b.example"]}, ()),
        ({"others": [1, "nobody", None, "a@b.example"]}, ("a@b.example",)),
        ({"others": "a@b.example"}, ("a@b.example",)),
        ({"device": []}, ()),
    ],
)
def test_a_body_says_whose_it_is_by_the_first_field_that_is_present(body: object, persons: tuple[str, ...]) -> None:
    assert whose.of_body(Visit, json.dumps(body)) == persons


EMAILS = st.sampled_from(["Ann@Example.com", "ann@example.com", " bob@example.com ", "c@d.example"])
ABSENT = st.none()
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "user_id": ABSENT | EMAILS,
        "device": ABSENT | st.fixed_dictionaries({}, optional={"id": ABSENT | st.uuids().map(str)}),
        "others": ABSENT | st.lists(EMAILS, max_size=3),
        "invited_by": ABSENT | EMAILS,
    },
)


@settings(max_examples=100)
@given(RECORDS)
def test_a_record_that_is_accepted_is_the_same_persons_as_a_body(record: dict[str, Any]) -> None:
    body = json.dumps(record)
    assert Visit.masker(KEYSET)(body).originals.subjects == whose.of_body(Visit, body)


def test_no_representation_shows_whose_it_is() -> None:
    masked = Visit.masker(KEYSET)('{"user_id": "kn4ry@example.com", "invited_by": "kn4ry@example.org"}')
    assert "kn4ry" not in repr(masked)


def test_a_text_may_mean_a_person_of_each_field() -> None:
    assert whose.canonical(Visit, UUID.upper()) == {UUID}
    assert whose.canonical(Visit, "Ann@Example.com") == {"Ann@example.com"}
    assert whose.canonical(Visit, "nobody") == frozenset()


def test_lists_of_people_and_mentions_in_json_have_an_index_that_finds_them() -> None:
    stream = declare(subject=("tokens", "kept"), mentions=("in_json", "people.email", "nullable"))
    indexes = [line for line in table_sql.create_table(stream).splitlines() if line.startswith("CREATE INDEX")]
    assert indexes == [
        "CREATE INDEX ON declared USING gin (tokens);",
        "CREATE INDEX ON declared USING gin (kept);",
        *(f"CREATE INDEX ON declared ({name});" for name in ("other", "both_token", "token", "nullable")),
        *(f"CREATE INDEX ON declared ({name}_email);" for name in ("person", "sure", "maybe")),
        "CREATE INDEX ON declared USING gin (noted);",
        "CREATE INDEX ON declared USING gin (in_json jsonb_path_ops);",
        "CREATE INDEX ON declared USING gin (people jsonb_path_ops);",
    ]


def test_describe_names_subject_and_mentions() -> None:
    head = description.head(Visit)
    assert (head["subject"], head["mentions"]) == (["user_id", "device.id", "others"], ["invited_by"])
    assert describe._sentences(Visit, "`") == (
        "A visit. Table `visits`, subject `user_id` or `device.id` or `others`, mentions `invited_by`,"
        " envelope `plain`."
    )


def test_another_subject_and_other_mentions_are_told() -> None:
    before = contract.of_stream(declare(subject="plain"))
    after = contract.of_stream(declare(subject=("nullable", "plain"), mentions=("tokens", "person.email")))
    compared = contract.compare({"s": before}, {"s": after})
    assert [(change.is_breaking, change.sentence) for change in compared] == [
        (True, "s: the subject is nullable or plain, was plain"),
        (False, "s: tokens is a mention now"),
        (False, "s: person.email is a mention now"),
    ]
    del before["mentions"]  # a revision that knew of none
    assert contract.compare({"s": before}, {"s": after}) == compared
    gone = contract.compare({"s": after}, {"s": after | {"mentions": ["tokens"]}})
    assert gone == [(True, "s: person.email is no mention any more")]
