"""The playground tells what becomes of a typed text, where its faults stand, and nothing clear of it elsewhere."""

import asyncio
import json
import logging
import random
import re
from collections.abc import Callable
from functools import cache
from html import unescape
from typing import Any

import msgspec
import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.testclient import TestClient

import streams
from sluice.declaration import description, registry
from tests.unit.cli import STREAM, TOKEN, in_envelope
from tests.unit.fakes import LOGIN, ROOT, login, sqs_record
from tests.unit.routes import IDENTIFY, TRACK, declare_route
from tools.console import playground
from tools.console.playground import variant
from tools.console.playground.typed import LARGEST
from tools.sluice_cli.authors import examples
from tools.sluice_cli.authors.route_generator import maker

pytestmark = pytest.mark.usefixtures("hashing_clock")

EVENTS = ROOT / "docs" / "events"

# Stands for the console's own frame.
BASE = "<title>{% block title %}{% endblock %}</title><main>{% block content %}{% endblock %}</main>"

SHAPES = '''"""Values with several shapes."""

from decimal import Decimal
from typing import Annotated, Any

from sluice import ByType, Email, Keep, Number, Part, Pseudonym, Stream, Tagged, Text, Tree, constant, derived


class Card(Part):
    number: Annotated[str, Text(max=19), Pseudonym()]


class Account(Part):
    iban: Annotated[str, Text(max=34), Pseudonym()]
    kind = constant("account")


class Other(Part):
    name: Annotated[str, Text(max=20)]


class Track(Part):
    event: Annotated[str, Text(max=64)]


class Author(Part):
    email: Annotated[str, Email(), Pseudonym("author_email", domain="email")]


class Charge(Stream, table="charges"):
    method: Annotated[Card | Account | Other | None, Tagged("type", {"card": Card, "sepa": Account}, others=Other)]
    call: Annotated[Track, Tagged("type", {"card": Track}, inline=True)]
    authors: Annotated[list[Author] | str, ByType(list[Author], (Text(max=100), Pseudonym("author_name")))]
    rating: Annotated[Decimal | str, ByType((Number(precision=3, scale=1), Keep("stars")), Text(max=16))]
    properties: Annotated[dict[str, Any], Tree({"/email": (Email(), Pseudonym()), "/plan": Text(max=20)}, max_keys=9)]

    @derived
    def is_card(self) -> bool:
        return isinstance(self.method, Card)
'''
OF_TREE = ["properties", "properties/email", "properties/plan", "properties_email"]
CHARGE: dict[str, Any] = {
    "type": "card",
    "event": "paid",
    "method": {"type": "card", "number": "4111"},
    "authors": [{"email": "ann@example.com"}],
    "rating": 4.5,
    "properties": {"email": "ann@example.com", "plan": "pro"},
}

VISIT: dict[str, Any] = {"kind": "in", "version": "1.2", "guest": {"email": "ann@example.com"}}


@cache
def templates() -> Environment:
    loader = ChoiceLoader([DictLoader({"base.html": BASE}), FileSystemLoader(playground.TEMPLATES)])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def page(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    return HTMLResponse(templates().get_template(template).render(context), status)


def console() -> TestClient:
    """Return a client of a console that has just started."""
    return TestClient(Starlette(routes=[Mount("/playground", routes=playground.routes(page))]))


@pytest.fixture
def client() -> TestClient:
    return console()


def answer(client: TestClient, stream: str, text: str, **fields: str) -> str:
    response = client.post("/playground/answer", data={"stream": stream, "text": text, **fields})
    assert response.status_code == 200
    return response.text


def summary(html: str) -> str:
    found = re.search(r'<hx-partial[^>]*>(.*?)</hx-partial>|<p id="play-verdict"[^>]*>(.*?)</p>', html, re.DOTALL)
    assert found
    return " ".join(unescape(found[1] or found[2]).split())


def marked(html: str, kind: str = "place") -> list[str]:
    """Return what is marked in the text, without the numbers of the marks."""
    found = re.findall(rf'<mark class="play-{kind}">(.*?)</mark>', html, re.DOTALL)
    return [unescape(re.sub("<a .*?</a>", "", one)) for one in found]


def refusals(html: str) -> list[str]:
    """Return what is told of each refusal: reason, pointer and place."""
    found = re.findall(r'<li id="play-refusal-\d+">(.*?)\.\n', html, re.DOTALL)
    return [" ".join(unescape(re.sub("<.*?>", "", one)).split()) for one in found]


def rows(html: str) -> list[dict[str, str]]:
    """Return what is stored by column, for each row."""
    tables = re.findall(r'aria-label="Columns of [^"]*">(.*?)</table>', html, re.DOTALL)
    cell = r'<code>([^<]*)</code></th>\s*<td rowspan="\d+" class="play-stored[^"]*">(.*?)</td>'
    return [
        {column: unescape(re.sub("<.*?>", "", stored)).strip() for column, stored in re.findall(cell, table, re.DOTALL)}
        for table in tables
    ]


def without_text(html: str) -> str:
    """Return a page without the typed text: neither the input nor the copy with its marks."""
    return re.sub(r'<textarea.*?</textarea>|<pre class="play-marked".*?</pre>', "", html, flags=re.DOTALL)


def typed_in(html: str) -> str:
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", html, re.DOTALL)
    assert found
    return unescape(found[1])


# Rows


def test_a_record_becomes_a_row_with_its_rules_and_masks(client: TestClient) -> None:
    html = answer(client, "user_logins", json.dumps(LOGIN))
    assert summary(html) == "Records: 1. Rows: 1. Rejected: 0."
    (row,) = rows(html)
    tokens = {column: value for column, value in row.items() if TOKEN.fullmatch(value)}
    assert list(tokens) == ["masked_ip", "masked_device_id"]
    kept = ("user_id", "device_type", "app_version_text", "app_version", "locale")
    assert row == tokens | dict.fromkeys(kept, "(kept)")
    assert "<td>IpAddress</td><td>Pseudonym(recoverable=true)</td>" in html
    assert "36 " not in summary(html) and "2^32 (IPv4)" in html


def test_what_is_kept_in_the_clear_is_shown_to_who_asks(client: TestClient) -> None:
    html = answer(client, "user_logins", json.dumps(LOGIN | {"locale": "<b>x"}), show_clear="yes")
    (row,) = rows(html)
    assert (row["app_version"], row["locale"]) == ("2003000", "<b>x")
    assert "<b>" not in html


def test_equal_values_have_one_token_and_one_colour(client: TestClient) -> None:
    html = answer(client, "user_logins", f"{login()}\n{login(ip='192.0.2.9')}\n")
    assert summary(html) == "Records: 2. Rows: 2. Rejected: 0."
    first, second = rows(html)
    assert first["masked_device_id"] == second["masked_device_id"]
    assert first["masked_ip"] != second["masked_ip"]
    coloured = set(re.findall(rf'<span class="token hue-(\d+)">({TOKEN.pattern})</span>', html))
    assert len(coloured) == len({token for _, token in coloured}) == 3
    assert "Same token: the same value" in html and "in 2 rows" in html


def test_each_start_has_a_key_of_its_own(client: TestClient) -> None:
    one, other, again = (rows(answer(of, "user_logins", login()))[0] for of in (client, console(), client))
    assert one == again
    assert one["masked_ip"] != other["masked_ip"]


def test_members_of_a_list_are_told_with_their_column(client: TestClient, declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    stops = [{"room": "b", "badge": "7", "seats": [{"row": 1, "holder": "ann"}]}]
    html = answer(client, "visits", json.dumps(VISIT | {"stops": stops}))
    (row,) = rows(html)
    ((stop,), column) = json.loads(row["stops[*].room"]), "stops[*].seats[*].holder"
    assert (stop["room"], TOKEN.fullmatch(stop["badge"]) is not None) == ("(kept)", True)
    assert f"<code>{column}</code>" in html and "<code>/stops/*/seats/*/holder</code>" in html
    assert (row["guest_host"], row["source"]) == ("example.com", "door")


def test_no_text_is_no_message(client: TestClient) -> None:
    html = answer(client, "user_logins", " \n")
    assert summary(html) == "The text holds no message yet."
    assert "Nothing was written." in html  # an answer that is empty would leave the last one on the page


# Refusals


def test_every_fault_is_marked_where_it_stands(client: TestClient, declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    text = '{"kind": "up",\n "version": "1.2", "guest": {"nickname": "a"},\n "stops": [{"room": "", "badge": "1"}, 5]}'
    html = answer(client, "visits", text)
    assert summary(html) == "Records: 1. Rows: 0. Rejected: 1."
    assert marked(html) == ['"up"', '""', "5"]
    assert marked(html, "around") == ['{"nickname": "a"}']
    assert refusals(html) == [
        "not_a_choice at /kind: line 1, column 10–13",
        "missing at /guest/email: the value is not there; around it, line 2, column 29–45",
        "empty at /stops/0/room: line 3, column 21–22",
        "wrong_type at /stops/1: line 3, column 40",
    ]
    assert "Rule: Email(max=254)." in html
    assert all(f'id="play-mark-{number}"' in html for number in range(1, 5))


def test_a_key_that_comes_twice_is_marked_twice(client: TestClient) -> None:
    text = login(ip="nowhere").replace('"ip"', '"ip": 1, "ip"')
    html = answer(client, "user_logins", text)
    assert {*marked(html)} == {"1", '"nowhere"'}
    assert "The key comes 2 times, and each is marked." in html


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ('{"user_id": "a",\n "ip": }', "}", "line 2, column 8"),
        ("{\n  {},\n  {}\n}", "{", "line 2, column 3"),  # not two lines of JSON
        ("hello", "h", "line 1, column 1"),
        ('  {"a": "b', "b", "line 1, column 10"),
    ],
)
def test_a_text_that_is_no_json_is_marked_where_it_breaks(text: str, place: str, told: str, client: TestClient) -> None:
    html = answer(client, "user_logins", text)
    assert (marked(html), refusals(html)) == ([place], [f"not_json at (the record): {told}"])


def test_lines_and_the_line_feeds_of_a_browser_keep_their_places(client: TestClient) -> None:
    text = f"{login()}\r\n\r\n  {login(ip='x')}\r\n{login()[:-1]}\r\n"
    html = answer(client, "user_logins", text)
    assert summary(html) == "Records: 3. Rows: 1. Rejected: 2."
    assert marked(html)[0] == '"x"'
    assert [one.partition(":")[0] for one in refusals(html)] == [
        "not_an_ip_address at /ip of line 3",
        "not_json at (the record) of line 4",
    ]


BAD = json.dumps(VISIT | {"kind": 'ü"p'})
EVENTBRIDGE = {"detail-type": "Visit", "source": "door", "id": "1", "detail": VISIT | {"kind": 5}}


@pytest.mark.parametrize(
    ("envelope", "text", "place"),
    [
        ("sns", json.dumps({"Message": BAD, "MessageId": "1"}, indent=2), r"\"\\u00fc\\\"p\""),
        ("sns", json.dumps({"Message": BAD}, ensure_ascii=False).replace("\\\\u00fc", "ü"), r"\"ü\\\"p\""),
        ("sns", json.dumps({"Message": BAD[:-1]}), "}"),
        ("sns", '{"MessageId": "1"}', '{"MessageId": "1"}'),
        ("sns", '{"MessageId": "1"', '"'),
        ("eventbridge", json.dumps(EVENTBRIDGE, indent=1), "5"),
        ("plain, records=listed('all')", json.dumps({"all": [VISIT, VISIT | {"kind": 5}]}), "5"),
        ("plain, records=listed('all')", json.dumps({"all": 7}), "7"),
        ("plain, records=json_lines", f"{json.dumps(VISIT)}\n\n{json.dumps(VISIT | {'kind': 5})}", "5"),
        ("sns, records=json_lines", json.dumps({"Message": f"\n{json.dumps(VISIT)}\n{BAD}"}), r"\"\\u00fc\\\"p\""),
        ("sns", json.dumps({"record": VISIT | {"kind": 5}, "row": {}}), "5"),
        ("sns, records=listed('all')", json.dumps({"record": VISIT | {"kind": 5}, "row": {}}), "5"),
        ("sns", json.dumps({"body": json.dumps({"Message": BAD}), "row": {}}), None),
        ("plain", json.dumps({"Records": [sqs_record(json.dumps(VISIT | {"kind": 5}))]}), "5"),
        ("plain", json.dumps([VISIT, VISIT | {"kind": 5}]), "5"),
        ("own", f"<<{json.dumps(VISIT | {'kind': 5})}>>", "5"),
        ("own", "no", "no"),
    ],
)
def test_a_fault_is_found_in_every_envelope_and_among_several_records(
    envelope: str, text: str, place: str | None, client: TestClient, declare: Callable[[str, str], None]
) -> None:
    stream = in_envelope(envelope).replace("    sns,\n", "    json_lines,\n    listed,\n    sns,\n", 1)
    own = "def own(body: str) -> str:\n    return body[body.index('<<') + 2 : -2]\n\n\nclass Guest"
    declare("visits", stream.replace("class Guest", own, 1))
    html = answer(client, "visits", text)
    found = marked(html) or marked(html, "around")
    if place is None:
        (one,) = found
        assert json.loads(f'"{json.loads(f'"{one}"')}"').endswith('p"')
    else:
        assert found == [place]


OUTSIDE = """class Own(Part):
    room: Annotated[str, Text(max=9)]


class Sender(Part):
    name: Annotated[str, Text(max=9)] = msgspec.field(name="SenderId")
    attributes: Own


class Around(Part):
    source: Annotated[str, Text(max=9)]


"""
SENT = {"SenderId": "ann", "SentTimestamp": "1767258001500"}
LONG = "too long, really"


def event_of(attributes: dict[str, str], room: str) -> str:
    """Return an event of SQS whose message has these attributes."""
    own = {"room": {"stringValue": room, "dataType": "String"}}
    record = sqs_record(json.dumps(EVENTBRIDGE | {"source": LONG, "detail": VISIT}))
    return json.dumps({"Records": [record | {"attributes": attributes, "messageAttributes": own}]})


def example_of(**members: Any) -> str:
    return json.dumps(
        {"record": VISIT, "message": {"SenderId": "ann", "attributes": {"room": "b"}}, "row": {}} | members
    )


@pytest.mark.parametrize(
    ("text", "places", "around"),
    [
        (json.dumps(EVENTBRIDGE | {"detail": VISIT}), [], []),  # a body has no attributes
        (event_of(SENT | {"SenderId": LONG}, "b"), [f'"{LONG}"'], []),
        (event_of(SENT, LONG), [f'"{LONG}"'], []),
        (event_of(SENT, "b"), [json.dumps(json.dumps(LONG))[1:-1]], []),
        (example_of(message={"SenderId": LONG, "attributes": {"room": "b"}}), [f'"{LONG}"'], []),
        (example_of(message={"SenderId": "ann", "attributes": {"room": LONG}}), [f'"{LONG}"'], []),
        (example_of(message={"SenderId": "ann"}), [], ['{"SenderId": "ann"}']),
        (example_of(envelope={"source": LONG}), [f'"{LONG}"'], []),
    ],
)
def test_what_is_outside_of_a_record_is_marked_where_it_is_in_the_text(
    text: str, places: list[str], around: list[str], client: TestClient, declare: Callable[[str, str], None]
) -> None:
    parts = (
        "    sender: Annotated[Sender, FROM_MESSAGE]\n    around: Annotated[Around, FROM_ENVELOPE]\n    guest: Guest"
    )
    stream = (
        in_envelope("eventbridge").replace("class Guest", f"{OUTSIDE}class Guest", 1).replace("    guest: Guest", parts)
    )
    imports = "import msgspec\nfrom sluice import (\n    FROM_ENVELOPE,\n    FROM_MESSAGE,"
    declare("visits", stream.replace("from sluice import (", imports, 1))
    html = answer(client, "visits", text)
    assert summary(html) == "Records: 1. Rows: 0. Rejected: 1."
    assert (marked(html), marked(html, "around")) == (places, around)


def test_of_many_faults_the_first_are_shown_and_all_records_counted(client: TestClient) -> None:
    html = answer(client, "user_logins", "\n".join([login(ip="x"), *["{}"] * 20, login()]))
    assert summary(html) == "Records: 22. Rows: 1. Rejected: 21."
    assert len(refusals(html)) == 50
    assert "These are the first 50." in html


def test_a_record_goes_its_route_and_a_fault_keeps_its_place(
    client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare_route(declare)
    lines = [TRACK, IDENTIFY, TRACK | {"size": 99}, {"type": "page"}]
    html = answer(client, "calls", "\n".join(map(json.dumps, lines)))
    assert summary(html) == "Records: 4. Rows: 2. Rejected: 2."
    assert sorted(marked(html)) == ['"page"', "99"]
    assert ">Row of tracks<" in html and ">Row of users<" in html


def with_own_rule(method: str) -> str:
    """Return the stream of visits with a rule for nicknames of which a method quotes the value in its error."""
    rule = f"class Own(Text):\n    def {method}(self, value: str, /) -> str:\n        raise KeyError(value)\n\n\n"
    own = STREAM.replace("class Guest", f"{rule}class Guest", 1)
    return own.replace("Text(max=20), Truncate", "Own(max=20), Truncate")


NICKNAMED = json.dumps(VISIT | {"guest": {"email": "ann@example.com", "nickname": "kn4ry"}})


def test_an_error_of_ones_own_code_is_told_by_its_class(
    client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("visits", with_own_rule("canonical"))
    html = answer(client, "visits", NICKNAMED)
    assert "<strong>internal_error</strong> (KeyError) at <code>/guest/nickname</code>" in html
    assert marked(html) == ['"kn4ry"']
    assert "kn4ry" not in without_text(html)


def test_an_error_where_the_function_calls_nothing_is_told_by_its_class_too(
    client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("visits", with_own_rule("text"))  # which is asked for the value space alone
    html = answer(client, "visits", NICKNAMED)
    assert summary(html) == "The stream's own code fails: KeyError."
    assert "kn4ry" not in html


def test_a_declaration_that_cannot_be_loaded_is_told(client: TestClient, declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM.replace("Email()", "Email(longest=3)", 1))
    assert summary(answer(client, "visits", "{}")).startswith("The declaration is refused: visits.py, line")
    assert "The declaration is refused" in client.get("/playground/").text


def at(document: Any, pointer: str) -> list[Any]:
    """Return the value that a pointer names in a document; none if there is none."""
    for step in pointer.split("/")[1:]:
        members = {str(index): one for index, one in enumerate(document)} if isinstance(document, list) else document
        if not isinstance(members, dict) or step not in members:
            return []
        document = members[step]
    return [document]


@pytest.mark.parametrize("name", ["orders", "user_logins"])
def test_a_value_that_is_marked_is_the_one_that_the_pointer_names(name: str, client: TestClient) -> None:
    generator = maker(registry.load_queued(name), random.Random(1))
    for _ in range(40):
        text = msgspec.json.format(generator.spoiled(generator.body()), indent=2)
        html = answer(client, name, text)
        assert refusals(html)
        for told in refusals(html):
            pointer, _, place = told.split(" at ", 1)[1].replace("(the record)", "").partition(": ")
            found = at(json.loads(text), pointer)
            assert place.startswith("line" if found else "the value is not there; around it, line")
            if found and not isinstance(found[0], dict | list):
                assert json.dumps(found[0]) in marked(html)


# Changes of a declaration


def test_a_change_shows_columns_value_space_and_what_a_plain_hash_would_cost(client: TestClient) -> None:
    change = {"field:user_logins:device_id": 'Text(max=128), Pseudonym("masked_device_id", domain="other")'}
    html = answer(client, "user_logins", login(), **change)
    assert summary(html) == "Records: 1. Rows: 1. Rejected: 0. With the change: Records: 1. Rows: 1. Rejected: 0."
    assert "Pseudonym(recoverable=true) of device_id" in html and "Pseudonym of other" in html
    difference = html[html.index('id="play-changes"') : html.index('id="play-rows-1"')]
    assert re.findall(r"<code>(.*?)</code>", difference) == ["masked_device_id"]
    one, other = TOKEN.findall(difference)
    assert one != other
    assert difference.count("10^9 (ddd-dd-dddd)") == 2
    assert difference.count("28 hours") == 2  # 10^9 hashes; by the clock of the test there are 10,000 a second


def test_a_mask_that_keeps_or_adds_a_column_shows_both_sides(client: TestClient) -> None:
    html = answer(client, "user_logins", login(), **{"field:user_logins:ip": "IpAddress(), Truncate('masked_ip')"})
    difference = html[html.index('id="play-changes"') : html.index('id="play-rows-1"')]
    assert '<td>Truncate</td><td class="play-stored">199.172.111.0/24</td>' in re.sub(r"\s*\n\s*", "", difference)
    html = answer(client, "user_logins", login(), **{"field:user_logins:ip": "IpAddress(), Keep('address')"})
    difference = html[html.index('id="play-changes"') : html.index('id="play-rows-1"')]
    assert re.findall(r"<code>(.*?)</code>", difference) == ["masked_ip", "address"]
    assert difference.count("no such column") == 2 and "(kept)" in difference


def test_a_stricter_rule_shows_what_it_refuses_and_a_milder_one_what_it_takes(client: TestClient) -> None:
    text = login(locale="de-CH", user_id="u" * 129)
    changes = {"field:user_logins:locale": "Text(max=2)", "field:user_logins:user_id": "Text(max=200)"}
    html = answer(client, "user_logins", text, **changes)
    told = html[html.index('id="play-changes"') :]
    assert re.findall("<h3>(.*?)</h3>", told) == ["Refused by the change", "No longer refused"]
    assert re.findall("<strong>too_long</strong> at <code>(.*?)</code>", told) == ["/locale", "/user_id"]


def changed_columns(html: str) -> list[str]:
    difference = html[html.index('aria-label="Changed columns"') :]
    return re.findall(r'rowspan="2"><code>(.*?)</code>', difference)


def test_what_the_change_alone_takes_shows_no_other_column(client: TestClient) -> None:
    html = answer(client, "user_logins", login(user_id="u" * 129), **{"field:user_logins:user_id": "Text(max=200)"})
    assert "No longer refused" in html
    assert changed_columns(html) == ["user_id"]


def test_of_too_many_refusals_none_is_said_to_be_new(client: TestClient) -> None:
    text = "\n".join([json.dumps({"user_id": "u" * 129})] * 20)
    html = answer(client, "user_logins", text, **{"field:user_logins:user_id": "Text(max=200)"})
    assert len(refusals(html)) == 50 and changed_columns(html) == ["user_id"]
    assert "Refused by the change" not in html and "No longer refused" not in html


def test_a_change_inside_of_a_list_shows_that_member_alone(
    client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM)
    text = json.dumps(VISIT | {"stops": [{"room": "b", "badge": "7"}]})
    html = answer(client, "visits", text, **{"field:visits:stops.badge": "Text(max=20), Redact()"})
    assert changed_columns(html) == ["stops[*].badge"]


@pytest.mark.parametrize(
    ("path", "text", "changed"),
    [
        ("method.Card.number", "Text(max=19), Redact()", ["method_number"]),
        ("call.Track.event", 'Text(max=64), Redact(constant="an event")', ["event"]),
        ("authors.list.email", 'Email(), Redact("author_email")', ["authors[*].author_email"]),
        ("rating.Number", 'Integer(max=9), Keep("stars")', ["stars"]),
        ("rating.Number", 'Number(precision=3, scale=1), Keep("points")', ["points", "stars"]),
        (
            "properties",
            'Tree({"/plan": (Text(max=20), Redact())}), Keep("properties")',
            ["properties", "properties/email", "properties/plan", "properties_email"],
        ),
        (
            "properties",
            'Tree({"/plan": None}, others=Redact())',
            ["properties", "properties/**", "properties/email", "properties/plan", "properties_email"],
        ),
    ],
)
def test_a_change_inside_of_a_union_or_a_tree_shows_its_columns(
    path: str, text: str, changed: list[str], client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("charges", SHAPES)
    html = answer(client, "charges", json.dumps(CHARGE), **{f"field:charges:{path}": text})
    assert sorted(changed_columns(html)) == changed
    assert ("Refused by the change" in html) == ("Integer" in text)  # 4.5 is none


def test_a_change_of_another_shape_than_the_value_has_leaves_the_row_as_it_is(
    client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("charges", SHAPES)
    for path, text in {"method.Account.iban": "Text(max=34), Redact()", "rating.Text": "Text(max=2)"}.items():
        html = answer(client, "charges", json.dumps(CHARGE), **{f"field:charges:{path}": text})
        assert summary(html).endswith("Records: 1. Rows: 1. Rejected: 0.")
        assert "Refused by the change" not in html


@pytest.mark.parametrize("name", sorted(page.parent.name for page in EVENTS.glob("*/README.md")))
def test_every_field_of_the_documented_events_can_be_declared_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(EVENTS / name)])
    stream = registry.load(name)
    fields = variant.changeable(stream)
    assert len({one.path for one in fields}) == len(fields) > 10
    for one in fields:
        anew: Any = variant.variant(stream, {name: {one.path: one.spelled.replace("(", "( ", 1)}})
        assert description.entries(anew) == description.entries(stream), one.path


def test_a_change_that_is_none_shows_nothing(client: TestClient) -> None:
    same = {
        "field:user_logins:locale": "",
        "field:user_logins:ip": 'IpAddress(), Pseudonym("masked_ip", recoverable=True)',
    }
    assert "play-changes" not in answer(client, "user_logins", login(), **same)


def test_a_change_that_cannot_be_is_told_and_the_answer_stays(client: TestClient) -> None:
    html = answer(client, "user_logins", login(), **{"field:user_logins:locale": "Text(max=2), Truncate()"})
    assert summary(html) == (
        "The change is refused: UserLogin.locale: Truncate of a text needs the number of characters to keep."
        " Records: 1. Rows: 1. Rejected: 0."
    )
    assert len(rows(html)) == 1


def test_a_stream_of_a_route_can_be_changed(client: TestClient, declare: Callable[[str, str], None]) -> None:
    declare_route(declare)
    html = answer(client, "calls", json.dumps(TRACK), **{"field:tracks:size": "Integer(max=2), Redact()"})
    assert "Refused by the change" in html and "<strong>out_of_range</strong> at <code>/size</code>" in html


# The page


def test_the_page_begins_with_the_first_example(client: TestClient) -> None:
    html = client.get("/playground/?stream=orders").text
    assert '<option value="orders" selected>' in html
    assert json.loads(typed_in(html))["order_id"]
    assert summary(html) == "Records: 1. Rows: 1. Rejected: 0."
    assert 'name="field:orders:customer.phone"' in html


def test_the_page_begins_with_the_fault_that_one_comes_from(client: TestClient) -> None:
    html = client.get("/playground/?stream=user_logins&reason=not_an_ip_address&pointer=/ip").text
    assert "with the fault of the refusal that you came from" in html
    assert [told.split(" at ")[0] for told in refusals(html)] == ["not_an_ip_address"]
    assert marked(html) == [json.dumps(json.loads(typed_in(html))["ip"])]


def test_a_fault_that_cannot_be_made_up_is_told(client: TestClient) -> None:
    html = client.get("/playground/?stream=user_logins&reason=<b>sqlstate_23514&pointer=").text
    assert "&lt;b&gt;sqlstate_23514 at the record cannot be made up. This is another message." in html
    assert summary(html) == "Records: 1. Rows: 1. Rejected: 0."


@pytest.mark.parametrize("name", ["orders", "user_logins"])
def test_every_example_becomes_what_it_says(name: str, client: TestClient) -> None:
    lines = examples.numbered(name)
    assert lines
    for number, line in lines:
        example = examples.parse(line)
        html = client.post("/playground/form", data={"stream": name, "text": "x", "fill": str(number)}).text
        assert f'<option value="{number}">' in html
        if isinstance(example.refused, examples.Refused):
            place = f"{example.refused.reason} at {example.refused.pointer or '(the record)'}"
            assert any(told.startswith(place) for told in refusals(html))
        else:
            assert summary(html).startswith("Records: 1. Rows: 1. Rejected: 0.")


@pytest.mark.parametrize(
    "envelope", ["plain", "sns", "eventbridge", "plain, records=listed('all')", "sns, records=json_lines"]
)
def test_a_message_is_made_up_that_the_stream_takes(
    envelope: str, client: TestClient, declare: Callable[[str, str], None]
) -> None:
    declare("visits", in_envelope(envelope).replace("    sns,\n", "    json_lines,\n    listed,\n    sns,\n", 1))
    html = client.get("/playground/").text  # it has no examples
    assert summary(html) == "Records: 1. Rows: 1. Rejected: 0."
    again = client.post("/playground/form", data={"stream": "visits", "text": typed_in(html), "fill": "generate"}).text
    assert summary(again) == "Records: 1. Rows: 1. Rejected: 0."
    assert typed_in(again) != typed_in(html)


def test_another_stream_takes_the_text_along(client: TestClient) -> None:
    text = login(locale="</textarea><b>")
    html = client.post(
        "/playground/form", data={"stream": "orders", "text": text, "fill": "", "show_clear": "yes"}
    ).text
    assert typed_in(html) == text
    assert "<b>" not in html
    assert '<option value="orders" selected>' in html and 'value="yes" checked' in html


def test_a_text_that_is_too_large_is_refused_and_stays_where_it_is(client: TestClient) -> None:
    for text in ("x" * (LARGEST + 1), "x" * 9 * LARGEST):
        response = client.post("/playground/form", data={"stream": "orders", "text": text})
        assert (response.status_code, response.headers["HX-Retarget"]) == (413, "#play-verdict")
        assert "larger than 256 KiB" in response.text


def test_a_request_that_is_given_up_is_no_error(client: TestClient) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/playground/answer", "headers": [], "query_string": b""}
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 400


def test_without_a_stream_the_page_says_so(client: TestClient, declare: Callable[[str, str], None]) -> None:
    assert summary(client.get("/playground/").text).startswith("There is no stream yet")


def test_the_page_has_nothing_that_a_strict_policy_forbids(client: TestClient) -> None:
    html = client.get("/playground/?stream=orders").text + answer(client, "orders", "{}")
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|hx-on|javascript:", html)
    assert client.get("/playground/playground.css").headers["content-type"].startswith("text/css")


# Nothing clear but in the text itself

LEAKS = ["203.0.113.77", "kn4ry"]
CANARIES = {"ip": "203.0.113.77", "device_id": "kn4ry-device", "user_id": "kn4ry-user", "locale": "kn4ry-locale"}
DIRTY = login(**CANARIES, kn4ry_key="kn4ry-value")
DIRTY_TEXTS = {
    "a row": DIRTY,
    "two rows": f"{DIRTY}\n{DIRTY}",
    "not JSON": DIRTY[:-1],
    "no JSON at all": "kn4ry 203.0.113.77",
    "no object": json.dumps(["kn4ry"]),
    "wrong type": login(**CANARIES | {"device_type": {"kn4ry_key": ["kn4ry-value"]}}),
    "ip": login(**CANARIES | {"ip": "203.0.113.77/24"}),
    "too long": login(**CANARIES | {"user_id": "kn4ry" * 100}),
    "an event": json.dumps({"Records": [sqs_record(DIRTY), sqs_record("kn4ry")]}),
    "no event": json.dumps({"Records": [{"body": "kn4ry", "eventSource": "aws:sqs"}]}),
    "no example": json.dumps({"record": "kn4ry", "row": "kn4ry"}),
    "nested too deeply": '{"kn4ry":' * 2_000,
}


@pytest.mark.parametrize("text", DIRTY_TEXTS.values(), ids=DIRTY_TEXTS)
def test_a_clear_value_is_in_the_typed_text_alone(
    text: str, client: TestClient, caplog: pytest.LogCaptureFixture, output: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    changes = {
        "field:user_logins:ip": "IpAddress(), Truncate()",
        "field:user_logins:device_id": "Text(max=3), Redact()",
    }
    for more in ({}, changes):
        html = answer(client, "user_logins", text, **more)
        form = client.post("/playground/form", data={"stream": "user_logins", "text": text, **more}).text
        for told in (without_text(html), without_text(form)):
            assert "Records:" in told or "cannot be read" in told
            assert [leak for leak in LEAKS if leak in told] == []
    said = output() + "".join(record.getMessage() for record in caplog.records)
    assert [leak for leak in LEAKS if leak in said] == []


def test_the_streams_that_are_shipped_are_those_that_are_offered(client: TestClient) -> None:
    html = client.get("/playground/").text
    assert re.findall(r'<option value="(\w+)"(?: selected)?>\1</option>', html) == registry.names()
