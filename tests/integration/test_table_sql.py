"""The table that is made of a declaration fits it: of every kind of field, in every place, with every mask."""

import pytest

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.registry import load_all
from sluice.declaration.rules import CaseFolded, Custom, Email, IpAddress, Text
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Stream, constant, derived
from sluice.migrate import tables
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from tests.integration.databases import TestDatabase, in_seconds
from tests.unit.kinds import KINDS, PLACES, Place, declare, field
from tools.sluice_cli.authors import table_sql

SCRUB = Scrub(Find(Email(), Pseudonym(domain="email")), Find(IpAddress(), Pseudonym("from", domain="ip")))
MASKS = (Keep(), Keep(as_=str), Pseudonym(), Redact(), Redact(constant="gone"))


def findings(database: TestDatabase, *streams: type[Stream]) -> list[str]:
    """Make each stream's table, and return what does not fit."""
    connection = Database(database.settings("owner"), "sluice-test")

    def make(session: Connection) -> list[str]:
        found: list[str] = []
        for stream in streams:
            session.run(f"DROP TABLE IF EXISTS {table_sql.table_name(stream)}")
            session.run(table_sql.create_table(stream))
            found += tables.findings(session, stream, {})
        return found

    try:
        return connection.transact(make, in_seconds(30), undo=True)
    finally:
        connection.close()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_the_table_of_a_declaration_fits_it(place: Place, database: TestDatabase) -> None:
    streams = []
    for kind in KINDS.values():
        masks: list[Mask] = [*MASKS, *([Truncate(to=kind.to)] if kind.short is not None else [])]
        masks += [SCRUB] if type(kind.rule) in (Text, CaseFolded, Custom) else []
        streams += [place.declare(kind.rule, mask) for mask in masks]
    assert findings(database, *streams) == []


@pytest.mark.parametrize("stream", load_all(), ids=lambda stream: stream.stream_name)
def test_a_declared_stream_could_have_this_table(stream: type[Stream], database: TestDatabase) -> None:
    assert findings(database, stream) == []


def test_the_arrays_of_tokens_in_a_text_have_an_index_that_finds_each() -> None:
    stream = declare(Stream, {"note": field(Text(max=9), SCRUB)}, table="notes")
    assert table_sql.create_table(stream).splitlines() == [
        "CREATE TABLE notes (",
        "    note       text        NOT NULL,",
        "    note_email text[]      NOT NULL,",
        '    "from"     text[]      NOT NULL,',
        "    sent_at    timestamptz NOT NULL,",
        "    message_id uuid        PRIMARY KEY",
        ");",
        "",
        "CREATE INDEX ON notes USING gin (note_email);",
        'CREATE INDEX ON notes USING gin ("from");',
    ]


def test_names_are_quoted_where_sql_wants_it(database: TestDatabase) -> None:
    rule = KINDS["text"].rule
    stream = declare(
        Stream,
        {"order": field(rule, Pseudonym()), "Größe": field(rule), "user": field(rule), "plain_1": field(rule)},
        {"kind": constant("x"), "made": derived(lambda record: 1)},
        table="select",
    )
    assert findings(database, stream) == []
    assert table_sql.create_table(stream).splitlines() == [
        'CREATE TABLE "select" (',
        '    "order"    varchar(256) NOT NULL,',
        '    "Größe"    varchar(9)   NOT NULL,',
        '    "user"     varchar(9)   NOT NULL,',
        "    plain_1    varchar(9)   NOT NULL,",
        "    kind       text         NOT NULL,",
        f"    made       text,  -- {table_sql.OF_ONES_OWN}",
        "    sent_at    timestamptz  NOT NULL,",
        "    message_id uuid         PRIMARY KEY",
        ");",
        "",
        'CREATE INDEX ON "select" ("order");',
    ]


def test_a_table_in_another_schema_brings_it(database: TestDatabase) -> None:
    stream = declare(Stream, {"field": field(KINDS["text"].rule)}, table="crm.Sign_ups")
    assert table_sql.create_table(stream).startswith(
        'CREATE SCHEMA IF NOT EXISTS crm;\n\nCREATE TABLE crm."Sign_ups" (\n'
    )
    database.sql(table_sql.create_table(stream))
    assert database.value("SELECT to_regclass('crm.\"Sign_ups\"') IS NOT NULL")
    database.sql("DROP SCHEMA crm CASCADE")


def test_the_reserved_words_are_those_of_postgresql(database: TestDatabase) -> None:
    reserved = database.sql("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert {word for (word,) in reserved} <= table_sql.RESERVED
