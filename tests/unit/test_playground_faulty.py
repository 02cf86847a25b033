"""A message to begin with is refused as it is asked, for every reason that a declaration knows."""

import random
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from sluice import (
    FROM_MESSAGE,
    ByType,
    Each,
    Email,
    Part,
    Pseudonym,
    Stream,
    Tagged,
    Text,
    Tree,
    eventbridge,
    json_lines,
    listed,
    sns,
)
from sluice.declaration import registry
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import ROOT
from tests.unit.kinds import KINDS, field
from tests.unit.kinds import declare as declared
from tests.unit.routes import declare_route
from tools.console.playground import faulty
from tools.console.playground.typed import Typed
from tools.sluice_cli.authors import messages
from tools.sluice_cli.authors.examples import Refused
from tools.sluice_cli.authors.findings import Findings
from tools.sluice_cli.authors.generator import Generator, NotGenerated

# What no message alone is refused for: the bucket of its queue decides, or a user's own envelope made what is no JSON.
OF_OTHERS = {"payload_elsewhere", "lone_surrogate"}


class Item(Part):
    sku: Annotated[str, Text(max=20)]
    tags: Annotated[list[str] | None, Each(Text(max=20), max=3)] = None


class Card(Part):
    number: Annotated[str, Text(max=19), Pseudonym()]


class Sender(Part):
    id: Annotated[str, Text(max=64), Pseudonym()] = msgspec.field(name="SenderId")


class Everything(Stream, table="everything"):
    """Values with several shapes, in several places."""

    items: list[Item]
    note: Annotated[str, Text(max=2_000)]
    method: Annotated[Card | None, Tagged("type", {"card": Card})] = None
    rating: Annotated[Decimal | str, ByType(KINDS["number"].rule, Text(max=16))]
    properties: Annotated[dict[str, Any], Tree({"/**/email": (Email(), Pseudonym()), "/plan": Text(max=20)})]
    sender: Annotated[Sender, FROM_MESSAGE]


class Notified(Stream, table="notified", envelope=sns):
    name: Annotated[str, Text(max=20)]


class Evented(Stream, table="evented", envelope=eventbridge):
    name: Annotated[str, Text(max=20)]


class Lines(Stream, table="lines", records=json_lines):
    name: Annotated[str, Text(max=20)]


class Listed(Stream, table="listed", records=listed("data", "events")):
    name: Annotated[str, Text(max=20)]


class ListedInside(Stream, table="listed_inside", envelope=sns, records=listed("data", "events")):
    name: Annotated[str, Text(max=20)]


FIELDS = {re.sub(r"\W", "_", name): field(kind.rule) for name, kind in KINDS.items()}
RULES: Any = declared(Stream, FIELDS, table="rules")
ASKED: list[tuple[Any, str, str]] = [
    (RULES, "ambiguous_time", "/zoned"),
    (RULES, "byte_order_mark", ""),
    (RULES, "empty", "/text"),
    (RULES, "eventbridge_event", ""),
    (RULES, "missing", "/uuid"),
    (RULES, "nested_too_deeply", ""),
    (RULES, "no_time_zone", "/timestamp"),
    (RULES, "not_a_card_number", "/card"),
    (RULES, "not_a_choice", "/choice"),
    (RULES, "not_a_date", "/date"),
    (RULES, "not_a_phone_number", "/phone"),
    (RULES, "not_a_timestamp", "/timestamp"),
    (RULES, "not_a_timestamp", "/mail_date"),
    (RULES, "not_a_timestamp", "/zoned"),
    (RULES, "not_a_uuid", "/uuid"),
    (RULES, "not_a_version", "/version"),
    (RULES, "not_an_email_address", "/e_mail"),
    (RULES, "not_an_iban", "/iban"),
    (RULES, "not_an_ip_address", "/ip_address"),
    (RULES, "not_an_object", ""),
    (RULES, "not_json", ""),
    (RULES, "nul_character", "/case_folded"),
    (RULES, "null", "/boolean"),
    (RULES, "out_of_range", "/integer"),
    (RULES, "out_of_range", "/number"),
    (RULES, "out_of_range", "/float"),
    (RULES, "out_of_range", "/epoch"),
    (RULES, "out_of_range", "/version"),
    (RULES, "payload_in_s3", ""),
    (RULES, "scoped_ip_address", "/ip_address"),
    (RULES, "sns_notification", ""),
    (RULES, "too_long", "/text"),
    (Everything, "too_many_marks", "/note"),
    (RULES, "too_precise", "/number"),
    (RULES, "wrong_type", "/date"),
    (Everything, "missing", "/items/7/sku"),
    (Everything, "nested_too_deeply", "/properties" + "/*" * 32),
    (Everything, "not_an_email_address", "/properties/*/email"),
    (Everything, "not_a_choice", "/method/type"),
    (Everything, "too_long", "/rating"),
    (Everything, "too_many", "/items/0/tags"),
    (Everything, "too_precise", "/rating"),
    (Everything, "wrong_type", "/items/2"),
    (Notified, "not_in_its_envelope", ""),
    (Notified, "too_long", "/name"),
    (Evented, "not_in_its_envelope", ""),
    (Evented, "missing", "/name"),
    (Lines, "wrong_type", "/3/name"),
    (Listed, "wrong_type", "/data/events"),
    (Listed, "empty", "/data/events/3/name"),
    (ListedInside, "empty", "/data/events/3/name"),
]


def refusals(stream: type[Stream], text: str, keyset: Keyset) -> list[tuple[str, str]]:
    """Return what `sluice preview` tells of a text."""
    found = Findings(stream, Typed(text, stream).messages(), keyset)
    return [(record.rejected.reason, re.sub(r"\d+", "*", record.pointer)) for record in found.rejected]


@pytest.mark.parametrize(("stream", "reason", "pointer"), ASKED)
def test_a_message_is_refused_as_it_was_asked(stream: Any, reason: str, pointer: str, keyset: Keyset) -> None:
    text = faulty.text("none", stream, Refused(reason, pointer), keyset)
    assert refusals(stream, text, keyset) == [(reason, re.sub(r"\d+", "*", pointer))]


def test_every_reason_of_a_declaration_can_be_asked_for() -> None:
    folder = ROOT / "layers" / "common" / "sluice" / "declaration"
    known = {found for file in folder.rglob("*.py") for found in re.findall(r'Rejected\("(\w+)"', file.read_text())}
    assert known - {reason for _, reason, _ in ASKED} == OF_OTHERS


@pytest.mark.parametrize("name", ["orders", "user_logins"])
def test_what_breaks_a_shipped_stream_can_be_asked_for(name: str, keyset: Keyset) -> None:
    stream = registry.load(name)
    generator = Generator(stream, random.Random(3))
    bodies = {generator.spoiled(generator.body(is_complete=True)) for _ in range(100)}
    asked = {refusal for body in bodies for refusal in refusals(stream, body, keyset)}
    assert len(asked) > 20
    for reason, pointer in asked:
        text = faulty.text(name, stream, Refused(reason, pointer.replace("*", "0")), keyset)
        assert refusals(stream, text, keyset) == [(reason, pointer)]


def test_an_example_that_is_refused_so_is_taken(keyset: Keyset) -> None:
    found = faulty.text("orders", registry.load("orders"), Refused("not_a_choice", "/status"), keyset)
    assert "lost" in found


def test_a_record_of_a_route_is_broken_too(declare: Callable[[str, str], None], keyset: Keyset) -> None:
    declare_route(declare)
    calls = registry.load_queued("calls")
    for reason, pointer in (("not_an_email_address", "/email"), ("out_of_range", "/size"), ("not_a_choice", "/type")):
        text = faulty.text("calls", calls, Refused(reason, pointer), keyset)
        with pytest.raises(Rejected) as caught:
            record_handler(calls, keyset)(messages.of_body("made up", text).record)
        assert (caught.value.reason, caught.value.pointer) == (reason, pointer)


@pytest.mark.parametrize("reason", ["sqlstate_23514", "too_old", "<script>"])
def test_what_no_message_alone_is_refused_for_is_told(reason: str, keyset: Keyset) -> None:
    with pytest.raises(NotGenerated, match="cannot be made up"):
        faulty.text("user_logins", registry.load("user_logins"), Refused(reason, "/ip"), keyset)
