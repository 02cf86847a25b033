"""Code of a user's own may raise and return anything, anywhere: the one record is rejected, or it works."""

import json
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from sluice import Custom, Each, Keep, Part, Pseudonym, Rejected, Rule, Stream, Text, derived
from sluice.deadline import Deadline
from sluice.declaration.masks import Mask
from sluice.declaration.rules import IpAddress
from sluice.failures import Outage
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.postgres.cells import Json
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import KEYSET, FakeStore, numbered, sqs_record

OWN = Keyset.parse(KEYSET)
RAISED = [KeyError("kn4ry"), ValueError("kn4ry"), TypeError("kn4ry"), AttributeError("kn4ry"), IndexError("kn4ry")]
RAISED += [ZeroDivisionError("kn4ry"), RecursionError("kn4ry"), MemoryError("kn4ry"), AssertionError("kn4ry")]
RAISED += [UnicodeDecodeError("utf-8", b"kn4ry", 0, 1, "kn4ry"), StopIteration("kn4ry"), LookupError("kn4ry")]
NO_ERRORS: list[BaseException] = [*RAISED, SystemExit("kn4ry")]


class Switch:
    """What a user's function does with the text `bad`; every other text it returns."""

    error: BaseException | None = None

    @classmethod
    def form(cls, value: str) -> str:
        if "bad" in value and cls.error:
            raise cls.error
        return value


class OwnRule(Text):
    def canonical(self, value: str, /) -> str:
        return Switch.form(super().canonical(value))


class OwnMask(Mask):
    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Callable[[Any], Any]:
        return Switch.form


class Inner(Part):
    name: Annotated[str, OwnRule(max=9)]


class OfRule(Stream, table="t"):
    name: Annotated[str, OwnRule(max=9), Pseudonym()]


class OfForm(Stream, table="t"):
    name: Annotated[str, Custom(max=9, form=lambda value: Switch.form(value))]


class OfAs(Stream, table="t"):
    name: Annotated[str, Text(max=9), Keep(as_=lambda value: Switch.form(value))]


class OfMask(Stream, table="t"):
    name: Annotated[str, Text(max=9), OwnMask()]


class OfDerived(Stream, table="t"):
    name: Annotated[str, Text(max=9)]

    @derived
    def length(self) -> str:
        return Switch.form(self.name)


class OfList(Stream, table="t"):
    names: Annotated[list[str], Each(OwnRule(max=9))]


class OfPart(Stream, table="t"):
    inner: Inner


class OfParts(Stream, table="t"):
    inner: list[Inner]


class OfEnvelope(Stream, table="t", envelope=lambda body: Switch.form(body)):
    name: Annotated[str, Text(max=9)]


PLACES: dict[type[Stream], tuple[Callable[[str], Any], str]] = {
    OfRule: (lambda text: {"name": text}, "/name"),
    OfForm: (lambda text: {"name": text}, "/name"),
    OfAs: (lambda text: {"name": text}, "/name"),
    OfMask: (lambda text: {"name": text}, "/name"),
    OfDerived: (lambda text: {"name": text}, ""),
    OfList: (lambda text: {"names": ["ok", text]}, "/names/1"),
    OfPart: (lambda text: {"inner": {"name": text}}, "/inner/name"),
    OfParts: (lambda text: {"inner": [{"name": "ok"}, {"name": text}]}, "/inner/1/name"),
    OfEnvelope: (lambda text: {"name": text}, ""),
}
SAID_OTHERWISE: dict[tuple[type[Stream], type[BaseException]], str] = {
    (OfEnvelope, RecursionError): "nested_too_deeply",
    (OfEnvelope, UnicodeDecodeError): "not_json",
}


def process(stream: type[Stream], *bodies: object) -> FakeStore:
    """Ingest a batch; return the store that holds what became of it."""
    store = FakeStore()
    records = [sqs_record(json.dumps(body), number) for number, body in enumerate(bodies, 1)]
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0))
    with processor(records, handler=record_handler(stream, OWN)):
        processor.process()
    assert len(store.rows) + len(store.rejections) == len(bodies)
    return store


@pytest.fixture(autouse=True)
def _switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Switch, "error", None)


@pytest.mark.parametrize("error", NO_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stream", PLACES, ids=lambda stream: stream.__name__)
def test_whatever_is_raised_rejects_that_record_alone_at_its_pointer(
    stream: type[Stream], error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switch, "error", error)
    body, pointer = PLACES[stream]
    store = process(stream, body("ok"), body("bad"), body("fine"))
    assert [row.message_id for row in store.rows] == [numbered(1), numbered(3)]
    reason = SAID_OTHERWISE.get((stream, type(error)), "internal_error")
    assert [(one.message_id, one.reason, one.pointer) for one in store.rejections] == [(numbered(2), reason, pointer)]
    assert "kn4ry" not in repr(store.rejections)


@pytest.mark.parametrize("stream", PLACES, ids=lambda stream: stream.__name__)
def test_a_bad_record_alone_in_its_batch_is_rejected_since_the_example_passes(
    stream: type[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switch, "error", KeyError("kn4ry"))
    body, pointer = PLACES[stream]
    (rejection,) = process(stream, body("bad")).rejections
    assert (rejection.reason, rejection.pointer) == ("internal_error", pointer)


@pytest.mark.parametrize("stream", [place for place in PLACES if place not in (OfEnvelope, OfList, OfParts)])
def test_code_that_fails_of_the_example_too_is_an_outage(stream: type[Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(value: str) -> str:
        raise KeyError(value)

    monkeypatch.setattr(Switch, "form", fail)
    body, _ = PLACES[stream]
    with pytest.raises(Outage, match=r"^every record failed: KeyError$"):
        process(stream, body("bad"), body("ok"))


@pytest.mark.parametrize("error", [NameError("kn4ry"), ImportError("kn4ry"), ModuleNotFoundError("kn4ry")])
def test_an_envelope_whose_code_is_wrong_is_an_outage_although_no_example_has_an_envelope(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switch, "error", error)
    with pytest.raises(Outage, match=rf"^every record failed: {type(error).__name__}$"):
        process(OfEnvelope, {"name": "bad"})


def test_an_envelope_that_returns_what_it_decoded_works() -> None:
    class Wrapped(Stream, table="t", envelope=lambda body: json.loads(body)["payload"]):
        name: Annotated[str, Text(max=9)]

    store = process(Wrapped, {"payload": {"name": "ada"}}, {"payload": '{"name": "bob"}'}, {"other": 1}, [1], "x", 7)
    assert [row.cells for row in store.rows] == [("ada",), ("bob",)]
    assert {one.reason for one in store.rejections} == {"internal_error"}


@pytest.mark.parametrize("returned", [None, 7, b"\xff", [], "", "{", object(), {1, 2}, float("nan")], ids=range(9))
def test_whatever_an_envelope_returns_rejects_at_the_most_that_record(returned: object) -> None:
    class Odd(Stream, table="t", envelope=lambda body: returned if "odd" in body else body):
        name: Annotated[str, Text(max=9)]

    store = process(Odd, {"name": "odd"}, {"name": "even"})
    assert [row.cells for row in store.rows] == [("even",)]
    assert len(store.rejections) == 1


# What they return


@pytest.mark.parametrize(
    ("returned", "cell"),
    [
        ({"a": [1, Decimal("1.10")]}, Json('{"a":[1,1.10]}')),
        ([1, "a"], Json('[1,"a"]')),
        (True, Json("true")),
        (1.5, Json("1.5")),
        (date(2026, 1, 31), "2026-01-31"),
        (UUID(int=7), str(UUID(int=7))),
        ({3}, Json("[3]")),
        (b"ab", "YWI="),
        (None, None),
        (Decimal("1.10"), Decimal("1.10")),
    ],
    ids=range(10),
)
def test_data_of_any_kind_is_stored_as_json_has_it(returned: object, cell: object) -> None:
    class OfAnything(Rule):
        def canonical(self, value: str, /) -> Any:
            return returned

        @property
        def makes(self) -> Any:
            return object

    class Kept(Stream, table="t"):
        rule: Annotated[object, OfAnything()]
        as_: Annotated[str, Text(max=9), Keep(as_=lambda value: returned)]

        @derived
        def made(self) -> object:
            return returned

    (row,) = process(Kept, {"rule": "x", "as_": "x"}).rows
    assert row.cells == (cell, cell, cell)
    assert [type(one) for one in row.cells] == [type(cell)] * 3


def test_a_list_of_objects_is_an_array_of_json() -> None:
    class Pair(Rule):
        def canonical(self, value: str, /) -> dict[str, str]:
            return {"v": value}

        @property
        def makes(self) -> Any:
            return dict

    class Pairs(Stream, table="t"):
        pairs: Annotated[list[dict], Each(Pair())]  # type: ignore[type-arg]

    (row,) = process(Pairs, {"pairs": ["a", "b"]}).rows
    assert row.cells == ('{"{\\"v\\":\\"a\\"}","{\\"v\\":\\"b\\"}"}',)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("a\0b", "nul_character"),
        ("\ud800", "internal_error"),
        (object(), "internal_error"),
        (float("nan"), "internal_error"),
        ([1.0, {"a": float("inf")}], "internal_error"),
        (Decimal("NaN"), "internal_error"),
        (10**5000, "internal_error"),  # more digits than Python writes
    ],
    ids=range(7),
)
def test_what_postgresql_cannot_store_rejects_that_record_and_not_the_batch(returned: object, reason: str) -> None:
    class Kept(Stream, table="t"):
        name: Annotated[str, Text(max=9), Keep(as_=lambda value: returned if value == "odd" else value)]

    store = process(Kept, {"name": "odd"}, {"name": "even"})
    assert [row.cells for row in store.rows] == [("even",)]
    assert [(one.reason, one.pointer) for one in store.rejections] == [(reason, "/name")]


class Odd(Part):
    """Its key is one that no terminal shows."""

    text: Annotated[str, Text(max=9)] = msgspec.field(name="A\x7f")


class OfOdd(Stream, table="t"):
    """Has a declared key that is not printable in its pointers."""

    inner: Odd


def test_a_declared_key_that_is_not_printable_is_named_in_the_pointer() -> None:
    (rejection,) = process(OfOdd, {"inner": {"A\x7f": "\0"}}, {"inner": {"A\x7f": "good"}}).rejections
    assert (rejection.reason, rejection.pointer) == ("nul_character", "/inner/A\x7f")


NO_WORDS: list[Any] = ["a\0", "\ud800", "\n", None, b"a"]


@pytest.mark.parametrize("no_word", NO_WORDS, ids=range(5))
def test_a_reason_that_is_not_printable_or_a_pointer_that_cannot_be_stored_is_an_error_as_any_other(
    no_word: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_pointer = [Rejected("mine", no_word)] if no_word != "\n" else []  # which may be in a key
    for error in (Rejected(no_word), *of_pointer):
        monkeypatch.setattr(Switch, "error", error)
        (rejection,) = process(OfRule, {"name": "ok"}, {"name": "bad"}).rejections
        assert (rejection.reason, rejection.pointer) == ("internal_error", "/name")


def test_an_address_beside_a_users_rule_stays_as_it_was() -> None:
    class Mixed(Stream, table="t"):
        ip: Annotated[str, IpAddress()]
        name: Annotated[str, OwnRule(max=9)]

    (row,) = process(Mixed, {"ip": "::ffff:192.0.2.1", "name": "ada"}).rows
    assert row.cells == ("192.0.2.1", "ada")


def test_the_docs_iban_is_rejected_alone_for_a_text_that_is_no_number() -> None:
    def iban(value: str) -> str:
        compact = value.replace(" ", "").upper()
        digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4] if character.isalnum())
        if not compact.isascii() or not compact.isalnum() or int(digits) % 97 != 1:
            raise Rejected("not_an_iban")
        return compact

    class Payment(Stream, table="payments"):
        account: Annotated[str, Custom(max=34, form=iban), Pseudonym("account_token")]

    (rejection,) = process(Payment, {"account": "é"}).rejections
    assert (rejection.reason, rejection.pointer) == ("internal_error", "/account")


def test_a_keyboard_interrupt_is_nobodys_data() -> None:
    class Stopped(Stream, table="t", envelope=lambda body: sys.modules[__name__]._interrupt()):
        name: Annotated[str, Text(max=9)]

    with pytest.raises(KeyboardInterrupt):
        process(Stopped, {"name": "x"})


def _interrupt() -> str:
    raise KeyboardInterrupt
