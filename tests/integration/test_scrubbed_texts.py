"""Texts with tokens inside are stored whole; by the arrays of their tokens they are found by erasure and reveal."""

import json
from typing import Annotated, Any

from sluice.deadline import Deadline
from sluice.declaration.rules import Each, Text
from sluice.declaration.scrub import Scrub
from sluice.declaration.stream import Stream
from sluice.migrate import rights, tables
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.settings import RevealSettings, VaultSettings
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import VAULT_KEY, OpenStore, write
from tests.integration.erasing import CALLER, MENTIONS, WHY, Visit, make_visits, sealed_tokens
from tests.integration.messages import KEYSET, token
from tests.integration.rekeying import masked
from tools.sluice_cli.authors import table_sql
from tools.testing.aws.secrets_manager import LONG_AGO

ADA, BOB, EVE, KIM = (f"{name}@example.com" for name in ("ada", "bob", "eve", "kim"))
VISITOR = "424cdd21-063a-43a7-b91b-7ca1a833afae"
KEYS = Keyset.parse(KEYSET)


class Note(Stream, table="notes"):
    """A text, and a list of texts."""

    note: Annotated[str | None, Text(max=200), MENTIONS]
    lines: Annotated[list[str], Each(Text(max=200)), Scrub(*MENTIONS.finds[:1])]


def put(open_store: OpenStore, stream: type[Stream], *records: dict[str, Any]) -> None:
    rows = masked(stream, KEYS, {number: json.dumps(record) for number, record in enumerate(records, 1)})
    assert write(open_store(stream), rows, in_seconds(60)) == (len(rows), 0, [])


def visit(visitor: str | None, note: str | None, *words: str) -> dict[str, Any]:
    guests = [{"email": KIM, "words": said} for said in words]
    return {"visitor": visitor, "devices": [], "trips": [{"guests": guests}], "note": note}


def test_a_text_is_stored_with_its_tokens_and_their_arrays(database: TestDatabase, open_store: OpenStore) -> None:
    database.sql(table_sql.create_table(Note))
    rights.grant(database.owner, Note, LOGINS)
    assert tables.findings(database.owner, Note, {}) == []
    put(
        open_store,
        Note,
        {"note": f'<{ADA}> "{BOB}" 203.0.113.7 {ADA}', "lines": [BOB, "\\N", f"{ADA}, {BOB}"]},
        {"note": "no one\n", "lines": []},
        {"note": None, "lines": ["x"]},
    )
    ada, bob, ip = token("email", ADA), token("email", BOB), token("ip", "203.0.113.7")
    assert database.sql("SELECT note, note_email, addresses, lines, lines_email FROM notes ORDER BY message_id") == [
        [f'<{ada}> "{bob}" {ip} {ada}', [ada, bob], [ip], [bob, "\\N", f"{ada}, {bob}"], [bob, ada]],
        ["no one", [], [], [], []],
        [None, None, None, ["x"], []],
    ]
    assert database.sql("SELECT count(*) FROM notes WHERE note_email @> ARRAY[:token]", token=bob) == [[1]]


def test_the_sealed_values_of_a_persons_texts_are_erased_but_for_those_in_other_texts(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    make_visits(database)
    put(open_store, Visit, visit(VISITOR, f"{ADA} {BOB}", f"of {EVE}", ADA), visit(None, None, BOB))
    assert sealed_tokens(database) == {token("email", one) for one in (ADA, BOB, EVE, KIM)}
    connection = Database(database.settings("forget"), "sluice-test")
    request = Erase(reason="support_request", ticket="A-1", subject=VISITOR)
    answer = Eraser(connection, [Visit], KeysetVersion(KEYS, LONG_AGO)).run("me", request, deadline)
    connection.close()
    assert (answer["rows"], answer["values"]) == ({Visit.stream_name: 1}, 2)
    assert sealed_tokens(database) == {token("email", one) for one in (BOB, KIM)}


def test_a_token_out_of_a_text_is_revealed(database: TestDatabase, open_store: OpenStore, deadline: Deadline) -> None:
    make_visits(database)
    put(open_store, Visit, visit(VISITOR, f"{ADA} from 203.0.113.7", f"of {EVE}"))
    connection = Database(database.settings("reveal"), "sluice-test")
    settings = RevealSettings(
        daily_limit=10,
        token_key_secret_id="",
        allow_unverified_caller=False,
        database=database.settings("reveal"),
        vault=VaultSettings(key_id=VAULT_KEY, stack="tests"),
    )
    asked = [token("email", ADA), token("email", EVE), token("ip", "203.0.113.7")]
    request = Request(tokens=asked, **WHY)  # type: ignore[arg-type]
    answer = Revealer(connection, [Visit], KEYS, settings).run(CALLER, request, deadline)
    connection.close()
    assert answer == {
        "values": [
            {"token": asked[0], "domain": "email", "value": ADA},
            {"token": asked[1], "domain": "email", "value": EVE},
        ],
        "unknown": asked[2:],
        "altered": [],
    }
