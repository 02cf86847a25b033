"""Made-up records are accepted by any stream, are nobody's, and differ; broken ones are rejected."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sluice.declaration import registry
from sluice.declaration.envelopes import eventbridge, sns
from sluice.declaration.masks import Keep
from sluice.declaration.rules import Custom, Each, Integer, Number, Rule, Text, Timestamp
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import STREAM
from tests.unit.kinds import KINDS, PLACES, declare, field
from tools.sluice_cli.authors.generator import Generator, NotGenerated

SEED = 11


def made(stream: type[Stream], count: int = 40) -> list[str]:
    generator = Generator(stream, random.Random(SEED))
    return [generator.body() for _ in range(count)]


def check(stream: type[Stream], keyset: Keyset, count: int = 40) -> None:
    """Hold that what is made up is taken, and what is broken of it is not."""
    mask, generator = stream.masker(keyset), Generator(stream, random.Random(SEED))
    for body in made(stream, count):
        mask(body)
        with pytest.raises(Rejected):
            mask(generator.spoiled(body))


@pytest.mark.parametrize("name", ["orders", "user_logins"])
def test_a_declared_stream_takes_what_is_made_up_for_it(name: str, keyset: Keyset) -> None:
    check(registry.load(name), keyset)
    assert len(set(made(registry.load(name)))) == 40


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "custom"])
def test_a_rule_takes_what_is_made_up_for_it_in_every_place(kind: str, place: Any, keyset: Keyset) -> None:
    check(place.declare(KINDS[kind].rule), keyset, 5)


def test_what_may_be_null_is_so_at_times(keyset: Keyset) -> None:
    orders = [json.loads(body) for body in made(registry.load("orders"))]
    assert {order["ip"] is None for order in orders} == {True, False}
    assert {len(order["lines"]) for order in orders} == {1, 2, 3}


def test_nothing_that_is_made_up_is_anybodys() -> None:
    orders = [json.loads(body) for body in made(registry.load("orders"))]
    domains = {order["customer"]["email"].rpartition("@")[2] for order in orders}
    assert domains == {"example.com", "example.net", "example.org"}
    networks = {order["ip"].rpartition(".")[0] for order in orders if order["ip"]}
    assert networks == {"192.0.2", "198.51.100", "203.0.113"}
    assert {order["customer"]["phone"][:10] for order in orders if order["customer"]["phone"]} == {"+442079460"}


@pytest.mark.parametrize(
    "rule",
    [
        Integer(min=-9, max=-3),
        Integer(min=5),
        Number(precision=1, scale=1),
        Number(precision=40, scale=0),
        Text(max=1),
        Timestamp(latest=datetime(2001, 1, 1, tzinfo=UTC)),
        Timestamp(earliest=datetime(2099, 1, 1, tzinfo=UTC)),
        Each(Text(max=3), max=0),
    ],
    ids=repr,
)
def test_the_bounds_of_a_rule_are_kept(rule: Rule, keyset: Keyset) -> None:
    check(PLACES["alone"].declare(rule), keyset)


class Plate(Rule):
    """A rule of a user's own, whose example has the form of all its values."""

    @property
    def example(self) -> str:
        return "AB12 xyz"

    def canonical(self, value: str, /) -> str:
        if value[:2].isupper() and value[2:4].isdigit() and value[5:].islower():
            return value
        raise Rejected("not_a_plate")


def test_a_rule_of_ones_own_gets_values_like_its_example(keyset: Keyset) -> None:
    stream = PLACES["alone"].declare(Plate())
    check(stream, keyset)
    assert len(set(made(stream))) > 1


def refuse(value: str) -> str:
    raise Rejected("never")


@pytest.mark.parametrize("place", ["alone", "nested", "objects"])
def test_a_rule_that_takes_no_example_of_its_own_is_named(place: str) -> None:
    with pytest.raises(NotGenerated) as raised:
        made(PLACES[place].declare(Custom(max=9, form=refuse)))
    pointer = PLACES[place].pointer.replace("/1/", "/*/")
    assert str(raised.value) == f"{pointer}: Custom has no example that it takes"


def test_a_stream_that_rejects_whatever_its_rules_take_is_told() -> None:
    with pytest.raises(NotGenerated, match="every record that was made up is rejected: /field: never"):
        made(declare(Stream, {"field": field(Text(max=5), Keep(as_=refuse))}, table="declared"))


@pytest.mark.parametrize("envelope", [sns, eventbridge])
def test_a_record_is_put_into_its_envelope(envelope: Any, keyset: Keyset) -> None:
    check(declare(Stream, {"field": field(Text(max=5))}, table="declared", envelope=envelope), keyset)


def test_an_envelope_of_ones_own_cannot_be_made_up_but_cut_off(keyset: Keyset) -> None:
    stream = declare(Stream, {"field": field(Text(max=5))}, table="declared", envelope=lambda body: body[2:])
    with pytest.raises(NotGenerated, match="the envelope <lambda> is the stream's own"):
        made(stream)
    with pytest.raises(Rejected, match="not_json"):
        stream.masker(keyset)(Generator(stream, random.Random(SEED)).spoiled('> {"field": "a"}'))


def test_a_stream_without_a_field_that_must_be_there_is_broken_too(
    declare: Callable[[str, str], None], keyset: Keyset
) -> None:
    declare("visits", STREAM)
    check(registry.load("visits"), keyset)


@pytest.mark.parametrize(
    "rule", [Text(max=12), Text(max=40), Integer(), Number(precision=20, scale=2), KINDS["uuid"].rule], ids=repr
)
def test_no_two_records_have_the_same_identity(rule: Rule) -> None:
    stream = declare(Stream, {"field": field(rule)}, table="declared", identity="field")
    assert len({json.loads(body)["field"] for body in made(stream, 3000)}) == 3000


def test_an_identity_of_which_there_are_few_is_told() -> None:
    stream = declare(Stream, {"field": field(Integer(min=1, max=5))}, table="declared", identity="field")
    with pytest.raises(NotGenerated, match="no more values for its identity"):
        made(stream)


def test_nothing_is_done_to_a_body_that_is_no_record() -> None:
    generator = Generator(registry.load("orders"), random.Random(SEED))
    assert generator.spoiled("{") == "{"
