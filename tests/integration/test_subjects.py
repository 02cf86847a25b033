"""Whose record it is, by several fields or a list; who is only mentioned; and what an erasure makes of each."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest

from sluice import telemetry
from sluice.declaration.masks import Pseudonym
from sluice.declaration.rules import Each, Email, Integer, Text, Uuid
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Part, Stream
from sluice.ingest.store import Store
from sluice.migrate import rights
from sluice.operators.forget import rows as rows_module
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase, Erasure, Repeat
from sluice.operators.rekey.rekeyer import Rekeyer
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.settings import RevealSettings, VaultSettings
from tests.integration.citus import distributed
from tests.integration.databases import LOGINS, TestDatabase, in_seconds, until
from tests.integration.environment import VAULT_KEY, OpenStore, write
from tests.integration.erasing import Log, audited, sealed_tokens
from tests.integration.rekeying import ENTRY, NEW, OLD, masked, secret_text
from tools.sluice_cli.authors import table_sql
from tools.testing.aws.account import FakeAws
from tools.testing.aws.secrets_manager import LONG_AGO

ANN, BOB, CAROL = "ann@example.com", "bob@example.com", "carol@example.com"
LONG_BEFORE = datetime(2026, 1, 31, tzinfo=UTC)


class Device(Part):
    """On what."""

    anonymous_id: Annotated[str | None, Uuid(), Pseudonym(domain="subject")] = None


class Action(Stream, table="actions", subject=("user_id", "device.anonymous_id")):
    """What somebody did who has signed in, or whose device alone is known."""

    user_id: Annotated[str | None, Text(max=64)] = None
    device: Device | None = None


class Guest(Part):
    """Who came along, on whose invitation."""

    email: Annotated[str | None, Email(), Pseudonym(domain="subject")] = None
    hosts: Annotated[list[str], Each(Email()), Pseudonym(domain="subject")] = msgspec.field(default_factory=list)
    seat: Annotated[int, Integer()] = 1


class Meeting(
    Stream,
    table="meetings",
    subject="members",
    mentions=("invited_by", "watchers", "guests.email", "guests.hosts", "note", "asides"),
):
    """A meeting, which is about all of its members."""

    members: Annotated[
        list[str], Each(Email()), Pseudonym("member_emails", "email", recoverable=True), Pseudonym(domain="subject")
    ]
    invited_by: Annotated[str | None, Email(), Pseudonym(domain="subject")] = None
    watchers: Annotated[list[str], Each(Email()), Pseudonym(domain="subject")] = msgspec.field(default_factory=list)
    guests: list[Guest] = msgspec.field(default_factory=list)
    note: Annotated[str | None, Text(max=500), Scrub(Find(Email(), Pseudonym("noted", domain="subject")))] = None
    asides: Annotated[
        list[str] | None, Each(Text(max=99)), Scrub(Find(Email(), Pseudonym("asides_noted", domain="subject")))
    ] = None
    room: Annotated[str | None, Text(max=20), Pseudonym(recoverable=True)] = None


class Group(Stream, table="groups", subject="members"):
    """A group: its members are kept in the clear."""

    members: Annotated[list[str], Each(Email())]
    cc: Annotated[list[str] | None, Each(Email()), Pseudonym(domain="email", recoverable=True)] = None


class Letter(Stream, table="letters"):
    """A letter: nobody's, but it is sent to people."""

    to: Annotated[str, Email(), Pseudonym(domain="email", recoverable=True)]


STREAMS: Sequence[type[Stream]] = (Action, Meeting, Group, Letter)
for declared in STREAMS:
    declared.stream_name = declared.table  # each is named like its module, and here they have one


@dataclass
class World:
    """The tables of the streams, and all who work on them."""

    database: TestDatabase
    fake_aws: FakeAws
    secret_id: str
    open_store: OpenStore
    keyset: Keyset = OLD
    opened: ExitStack = field(default_factory=ExitStack)
    _databases: dict[str, Database] = field(default_factory=dict)
    _stores: dict[type[Stream], Store] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def put(
        self, stream: type[Stream], body: object, sent_at: datetime = LONG_BEFORE, store: Store | None = None
    ) -> int:
        """Take in a message, and return how many rows that makes."""
        return self.put_all(stream, [body], sent_at, store)

    def put_all(
        self, stream: type[Stream], bodies: Sequence[object], sent_at: datetime, store: Store | None = None
    ) -> int:
        """Take in a batch, and return how many rows that makes."""
        if store is None:
            if stream not in self._stores:
                self._stores[stream] = self.open_store(stream)
            store = self._stores[stream]
        store.verify(self.keyset, in_seconds(60))
        numbered = {next(self._numbers): body for body in bodies}
        rows = [
            msgspec.structs.replace(row, sent_at=sent_at.isoformat()) for row in masked(stream, self.keyset, numbered)
        ]
        written, duplicates, refused = write(store, rows, in_seconds(60))
        assert (duplicates, refused) == (0, [])
        return written

    def forget(self, text: str, dry_run: bool = False) -> dict[str, Any]:
        return self._erase(Erase(reason="data_subject_request", ticket="PRIV-1", subject=text, dry_run=dry_run))

    def repeat(self, *erasures: Erasure, dry_run: bool = False) -> dict[str, Any]:
        return self._erase(
            Repeat(reason="data_subject_request", ticket="PRIV-1", erasures=[*erasures], dry_run=dry_run)
        )

    def _erase(self, request: Erase | Repeat) -> dict[str, Any]:
        eraser = Eraser(self._database("forget"), STREAMS, KeysetVersion(self.keyset, LONG_AGO))
        return eraser.run("me", request, in_seconds(60))

    def reveal(self, *values: str, domain: str = "email") -> list[str]:
        """Return those of the values that can be revealed, asked for by all of their tokens."""
        settings = RevealSettings(
            daily_limit=1000,
            token_key_secret_id=self.secret_id,
            allow_unverified_caller=False,
            database=self.database.settings("reveal"),
            vault=VaultSettings(key_id=VAULT_KEY, stack="tests"),
        )
        revealer = Revealer(self._database("reveal"), STREAMS, self.keyset, settings)
        tokens = [token for value in values for token in self.keyset.tokens(domain, value)]
        request = Request(tokens=tokens, reason="fraud_investigation", ticket="FRAUD-1")
        answer = revealer.run("me", request, in_seconds(60))
        return sorted({found["value"] for found in answer["values"]})

    def rekey(self) -> None:
        """Take a second token key into use, and bring all tokens to it."""
        self.keyset = NEW
        self.fake_aws.secretsmanager.secrets[self.secret_id] = secret_text(NEW)
        if not self.database.sql("SELECT FROM token_key WHERE number = 2"):
            self.database.sql(
                "INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2]
            )
        rekeyer = Rekeyer(self._database("rekey"), STREAMS, self.secret_id)
        until(lambda: rekeyer.run(ENTRY, in_seconds(60))["done"])

    def count(self, stream: type[Stream]) -> int:
        return len(self.database.rows(stream.table))

    def token(self, value: str, domain: str = "subject") -> str:
        return self.keyset.tokens(domain, value)[-1]

    def _database(self, role: str) -> Database:
        if role not in self._databases:
            self._databases[role] = Database(self.database.settings(role), f"sluice-{role}")
            self.opened.callback(self._databases[role].close)
        return self._databases[role]


@pytest.fixture
def world(database: TestDatabase, fake_aws: FakeAws, settings: str, open_store: OpenStore) -> Iterator[World]:
    for stream in STREAMS:
        database.sql(table_sql.create_table(stream))
        rights.grant(database.owner, stream, LOGINS)
    world = World(database, fake_aws, settings, open_store)
    with world.opened:
        yield world


def action(user_id: str | None = None, anonymous_id: str | None = None) -> dict[str, Any]:
    return {"user_id": user_id, "device": {"anonymous_id": anonymous_id}}


def users(world: World) -> list[tuple[str | None, bool]]:
    """Return whose the actions are: the user, and whether a device is named."""
    rows = world.database.rows("actions")
    return sorted(((row["user_id"], row["device_anonymous_id"] is not None) for row in rows), key=str)


# The first field that is present


def test_a_row_is_the_persons_whom_the_first_field_that_is_present_names(world: World) -> None:
    device = str(uuid4())
    nobody: dict[str, Any] = {"device": {}}
    for body in (action("ann", device), action(None, device), nobody, {"user_id": "bob", "device": None}, {}):
        assert world.put(Action, body) == 1
    assert world.forget(device.upper())["rows"]["actions"] == 1
    assert users(world) == [("ann", True), ("bob", False), (None, False), (None, False)]
    assert world.forget(" ann")["rows"]["actions"] == 1
    assert world.forget("ann")["rows"]["actions"] == 0
    assert users(world) == [("bob", False), (None, False), (None, False)]


def test_a_late_message_counts_by_the_first_field_that_is_present(world: World) -> None:
    device = str(uuid4())
    world.forget("ann")
    assert world.put(Action, action("ann", device)) == 0
    assert world.put(Action, action(None, device)) == 1  # known by the device alone: nobody said that it is hers
    world.forget(device)
    assert world.put(Action, action(None, device)) == 0
    assert world.put(Action, action("bob", device)) == 1
    assert world.put(Action, action("ann", device), sent_at=datetime.now(UTC)) == 1
    assert users(world) == [("ann", True), ("bob", True)]


def test_an_erasure_is_repeated_for_each_name_that_a_person_has(world: World) -> None:
    device = str(uuid4())
    bodies = [action("ann", device), action(None, device), action("bob", device)]
    for body in bodies:
        world.put(Action, body)
    since = datetime.now(UTC)
    world.put(Action, action("ann", device), sent_at=since)
    erasures = [Erasure(world.token(name), since) for name in ("ann", device)]
    dry = world.repeat(*erasures, dry_run=True)
    answer = world.repeat(*erasures)
    assert answer == dry | {"dry_run": False}
    assert answer["rows"] == {"actions": 2, "groups": 0, "meetings": 0}
    assert answer["stays"]["rows_sent_since"] == 1
    assert users(world) == [("ann", True), ("bob", True)]


# A list of people


def meeting(*members: str, **others: object) -> dict[str, Any]:
    return {"members": members, **others}


@pytest.mark.parametrize("stream", [Meeting, Group])
def test_a_row_is_about_all_in_its_list_and_goes_with_any_of_them(stream: type[Stream], world: World) -> None:
    for members in ([ANN, BOB], [BOB, CAROL], [], [CAROL, ANN, ANN]):
        world.put(stream, {"members": members})
    assert world.forget("ann@EXAMPLE.com")["rows"][stream.table] == 2
    assert [len(row["members"]) for row in world.database.rows(stream.table)] == [2, 0]
    assert world.put(stream, {"members": [BOB, ANN]}) == 0  # sent before
    assert world.put(stream, {"members": [BOB, ANN]}, sent_at=datetime.now(UTC)) == 1
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert world.repeat(Erasure(world.token(BOB), yesterday))["rows"][stream.table] == 1
    assert world.count(stream) == 2


def test_the_lookup_of_a_person_uses_the_index_of_the_list(world: World) -> None:
    world.database.sql("SET enable_seqscan TO off")
    plan = world.database.sql(f"EXPLAIN SELECT FROM meetings WHERE members && '{{{world.token(ANN)}}}'")
    world.database.sql("RESET enable_seqscan")
    assert "meetings_members_idx" in str(plan)


def test_the_others_of_a_list_stay_sealed_as_long_as_a_row_uses_them(world: World) -> None:
    world.put(Meeting, meeting(ANN, BOB, CAROL))
    world.put(Letter, {"to": BOB})
    answer = world.forget(ANN)
    assert (answer["values"], answer["stays"]["values_used_by_others"]) == (2, 1)
    assert world.reveal(ANN, BOB, CAROL) == [BOB]


# Mentions


def full(*members: str, of: str = ANN) -> dict[str, Any]:
    guests = [{"email": of, "seat": 7}, {"email": CAROL, "hosts": [CAROL, of]}, {"email": None}]
    return meeting(
        *members,
        invited_by=of,
        watchers=[of, CAROL, of],
        guests=guests,
        note=f"Ask {of} or {CAROL}, not {of}.",
        asides=[f'"{of}", {{\\"', "none", f"{CAROL}"],
    )


def test_forget_may_change_the_columns_with_mentions_and_no_others(world: World) -> None:
    rights = world.database.sql(
        "SELECT column_name::text FROM information_schema.column_privileges WHERE grantee = :grantee"
        " AND table_name = 'meetings' AND privilege_type = 'UPDATE' ORDER BY 1",
        grantee=LOGINS["forget"].username,
    )
    assert [name for (name,) in rights] == [
        *("asides", "asides_noted", "guests", "invited_by", "note", "noted", "watchers")
    ]


def test_an_erased_person_is_mentioned_no_more_and_the_rows_stay(world: World) -> None:
    world.put(Meeting, full(BOB))
    world.put(Meeting, full(BOB, of=CAROL))
    before = world.database.rows("meetings")
    dry, answer = world.forget(ANN, dry_run=True), world.forget(ANN)
    assert answer == dry | {"dry_run": False, "erased_at": answer["erased_at"]}
    assert answer["mentions"] == {"meetings": 1}
    carol = world.token(CAROL)
    changed, same = world.database.rows("meetings")
    assert same == before[1]
    assert changed == before[0] | {
        "invited_by": None,
        "watchers": [carol],
        "guests": [
            {"email": None, "hosts": [], "seat": 7},
            {"email": carol, "hosts": [carol], "seat": 1},
            {"email": None, "hosts": [], "seat": 1},
        ],
        "note": f"Ask [erased] or {carol}, not [erased].",
        "noted": [carol],
        "asides": ['"[erased]", {\\"', "none", carol],
        "asides_noted": [carol],
    }
    assert answer["stays"]["rows_that_mention"] == 0
    assert world.forget(ANN)["mentions"] == {"meetings": 0}


def test_mentions_in_many_rows_are_taken_out_a_few_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MENTIONS", 2)
    world.put_all(Meeting, [meeting(BOB, invited_by=ANN) for _ in range(5)], LONG_BEFORE)
    assert world.forget(ANN)["mentions"] == {"meetings": 5}


def test_mentions_are_taken_out_of_a_table_that_citus_has_distributed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "MENTIONS", 2)
    world.put_all(Meeting, [meeting(BOB, invited_by=ANN) for _ in range(5)], LONG_BEFORE)
    with distributed("meetings") as codes:
        assert world.forget(ANN)["mentions"] == {"meetings": 5}
    assert codes == ["0A000"] * 3
    assert [found["invited_by"] for found in world.database.rows("meetings")] == [None] * 5
    assert {row["invited_by"] for row in world.database.rows("meetings")} == {None}


@pytest.mark.parametrize("place", ["invited_by", "watchers", "guests", "hosts", "note"])
def test_a_mention_is_found_in_each_place_alone(place: str, world: World) -> None:
    mentions: dict[str, dict[str, Any]] = {
        "invited_by": {"invited_by": ANN},
        "watchers": {"watchers": [ANN]},
        "guests": {"guests": [{"email": CAROL}, {"email": ANN}]},
        "hosts": {"guests": [{"hosts": [CAROL, ANN]}]},
        "note": {"note": f"by {ANN}"},
    }
    world.put(Meeting, meeting(BOB, **mentions[place]))
    assert world.token(ANN) in str(world.database.rows("meetings"))
    assert world.forget(ANN)["mentions"] == {"meetings": 1}
    assert world.token(ANN) not in str(world.database.rows("meetings"))


def test_a_late_message_of_somebody_else_loses_the_mention_too(world: World) -> None:
    world.put(Meeting, full(BOB))
    world.forget(ANN)
    (erased,) = world.database.rows("meetings")
    assert world.put_all(Meeting, [full(BOB), meeting(BOB), meeting(CAROL, note="of nobody")], LONG_BEFORE) == 3
    late = world.database.rows("meetings")
    assert late[1] == erased | {"message_id": late[1]["message_id"]}
    assert [row["note"] for row in late[2:]] == [None, "of nobody"]
    assert world.put(Meeting, full(BOB), sent_at=datetime.now(UTC)) == 1
    assert world.database.rows("meetings")[-1]["invited_by"] == world.token(ANN)


def test_a_late_mention_under_a_new_key_is_known_by_the_token_of_the_erasure(world: World) -> None:
    world.forget(ANN)
    world.keyset = NEW
    world.database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])
    assert world.put(Meeting, full(BOB)) == 1
    assert world.token(ANN) not in str(world.database.rows("meetings"))


def test_a_mention_under_an_older_key_is_found_when_an_erasure_is_repeated_after_a_restore(world: World) -> None:
    world.put(Meeting, full(BOB))
    backup = world.database.rows("meetings")
    world.rekey()
    world.forget(ANN)
    erasure = Erasure(world.token(ANN), datetime.now(UTC), {"email": world.token(ANN, "email")})
    world.database.sql("DELETE FROM meetings")
    world.database.sql(
        "INSERT INTO meetings SELECT * FROM json_populate_recordset(NULL::meetings, CAST(:rows AS json))",
        rows=json.dumps(backup),
    )
    assert world.repeat(erasure)["mentions"] == {"meetings": 1}
    assert OLD.tokens("subject", ANN)[0] not in str(world.database.rows("meetings"))


# What identifies the person is unsealed for good


def test_an_address_that_others_mention_is_revealed_no_more_whoever_spells_it(world: World) -> None:
    world.put(Meeting, meeting(ANN, room="r1"))
    world.put(Meeting, meeting(BOB, room="r1"))
    world.put(Group, {"members": [BOB], "cc": [ANN, CAROL]})
    world.put(Letter, {"to": ANN})
    assert world.reveal(ANN, BOB, CAROL) == [ANN, BOB, CAROL]
    answer = world.forget(" ann@Example.COM ")
    assert answer["values"] == 1
    assert answer["stays"] == {"values_used_by_others": 1, "rows_that_mention": 2}  # r1; the group and the letter
    assert audited(world.database)[-1][-1] == {
        "rows": 1,
        "mentions": 0,
        "values": 1,
        "data_keys": 0,
        **answer["stays"],
    }
    assert world.reveal(ANN, "ann@Example.COM", BOB, CAROL) == [BOB, CAROL]
    assert world.reveal("r1", domain="room") == ["r1"]


def test_a_person_whom_others_only_mention_is_unsealed_too(world: World) -> None:
    world.put(Letter, {"to": ANN})
    answer = world.forget(ANN)
    assert (answer["values"], sum(answer["rows"].values())) == (1, 0)
    assert world.reveal(ANN) == []


def test_what_others_mention_later_is_not_sealed_again_and_what_the_person_sends_is(world: World) -> None:
    warm = world.open_store(Letter)
    for to in (ANN, BOB):
        world.put(Letter, {"to": to}, store=warm)
    world.forget(ANN)
    for store in (warm, world.open_store(Letter)):  # one remembers what it sealed
        assert world.put(Letter, {"to": ANN}, sent_at=datetime.now(UTC), store=store) == 1
        assert world.put(Letter, {"to": CAROL}, store=store) == 1
    assert world.reveal(ANN, BOB, CAROL) == [BOB, CAROL]
    assert world.put(Meeting, meeting(ANN, BOB), sent_at=datetime.now(UTC)) == 1  # she is back
    assert world.reveal(ANN) == [ANN]
    world.forget(ANN)
    assert world.put(Letter, {"to": ANN}, sent_at=datetime.now(UTC), store=warm) == 1
    assert world.reveal(ANN) == []


def test_in_one_batch_a_mention_is_sealed_when_the_person_is_in_it(world: World) -> None:
    world.forget(ANN)
    batch = [{"members": [BOB], "cc": [ANN]}, {"members": [ANN], "cc": [BOB]}, {"members": [], "cc": [CAROL]}]
    assert world.put_all(Group, batch, datetime.now(UTC)) == 3
    assert world.reveal(ANN, BOB, CAROL) == [BOB, CAROL]  # Ann's own group does not hold her address as a token
    assert world.put(Group, {"members": [ANN], "cc": [ANN]}, sent_at=datetime.now(UTC)) == 1
    assert world.reveal(ANN) == [ANN]


def test_what_is_unsealed_stays_so_under_a_new_token_key(world: World) -> None:
    world.put(Letter, {"to": ANN})
    world.forget(ANN)
    assert {row[0][:3] for row in world.database.sql("SELECT token FROM erased_value")} == {"t1_"}
    world.keyset = NEW
    world.database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])
    assert world.put(Letter, {"to": ANN}, sent_at=datetime.now(UTC)) == 1  # before its tokens are rekeyed
    assert sealed_tokens(world.database) == set()
    world.rekey()
    assert {row[0][:3] for row in world.database.sql("SELECT token FROM erased_value")} == {"t2_"}
    assert world.put(Letter, {"to": ANN}, sent_at=datetime.now(UTC)) == 1
    assert world.put(Letter, {"to": BOB}) == 1
    assert world.reveal(ANN, BOB) == [BOB]


@pytest.mark.parametrize("is_rekeyed", [False, True], ids=["same key", "new key since"])
def test_after_a_restore_the_log_is_enough_to_unseal_whom_others_only_mention(is_rekeyed: bool, world: World) -> None:
    world.put(Letter, {"to": ANN})
    world.put(Letter, {"to": BOB})
    backup = world.database.sql("SELECT token, domain, key_id, encode(sealed, 'hex') FROM pii_vault")
    if is_rekeyed:
        world.rekey()
    world.forget(ANN)
    erasure = Erasure(world.token(ANN), datetime.now(UTC), {"email": world.token(ANN, "email")})
    world.database.sql("DELETE FROM pii_vault; DELETE FROM erased_value; DELETE FROM erasure")
    for token, domain, key_id, sealed in backup:
        world.database.sql(
            "INSERT INTO pii_vault VALUES (:token, :domain, :key_id, decode(:sealed, 'hex'))",
            token=token,
            domain=domain,
            key_id=key_id,
            sealed=sealed,
        )
    assert world.repeat(erasure)["values"] == 1
    assert world.reveal(ANN, BOB) == [BOB]
    assert world.put(Letter, {"to": ANN}) == 1
    assert world.reveal(ANN) == []


def test_an_erasure_that_is_repeated_leaves_what_the_person_has_sent_since(world: World) -> None:
    world.put(Letter, {"to": ANN})
    world.put(Meeting, meeting(ANN))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    world.put(Meeting, meeting(ANN, BOB), sent_at=datetime.now(UTC))
    answer = world.repeat(Erasure(world.token(ANN), yesterday, {"email": world.token(ANN, "email")}))
    assert (answer["rows"]["meetings"], answer["values"]) == (1, 0)
    assert answer["stays"] == {"rows_sent_since": 1, "values_used_by_others": 1, "rows_that_mention": 1}
    assert world.reveal(ANN, BOB) == [ANN, BOB]


def test_nothing_clear_is_in_log_answer_or_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log.stream)
    canary, device = "kn4ry@example.com", str(uuid4())
    world.put(Group, {"members": [canary, BOB], "cc": [canary]})
    world.put(Meeting, full(BOB, of=canary))
    world.put(Action, action(canary, device))
    world.put(Letter, {"to": canary})
    answers = [world.forget(canary, dry_run=True), world.forget(canary)]
    world.put(Meeting, full(BOB, of=canary))
    logged = log.stream.getvalue()
    answers.append(world.repeat(*msgspec.convert(log.erasures(), list[Erasure])))
    stored = [
        world.database.sql(f"SELECT t::text FROM {table} t")
        for table in ("audit_log", "erasure", "erased_value", "pii_vault", *(stream.table for stream in STREAMS))
    ]
    assert '"erased"' in logged
    for text in (logged, log.read(), json.dumps(answers), str(stored)):
        assert "kn4ry" not in text


# Two environments, and an erasure between them


def test_a_batch_in_flight_seals_nothing_of_a_person_who_is_erased_meanwhile(world: World) -> None:
    stores = [world.open_store(Letter), world.open_store(Letter)]
    for store in stores:
        world.put(Letter, {"to": BOB}, store=store)
    with ThreadPoolExecutor(max_workers=2) as threads, world.database.second_session() as other:
        other.run("BEGIN; LOCK TABLE audit_log")  # forget is done but for its last statement
        erasing = threads.submit(world.forget, ANN)
        until(lambda: world.database.backends("application_name = 'sluice-forget' AND wait_event_type = 'Lock'"))
        writing = threads.submit(world.put, Letter, {"to": ANN}, LONG_BEFORE, stores[0])
        until(world.database.one_waits)
        other.run("ROLLBACK")
        assert erasing.result()["values"] == 0
        assert writing.result() == 1
    assert world.put(Letter, {"to": ANN}, store=stores[1]) == 1
    assert world.reveal(ANN, BOB) == [BOB]


def test_batches_and_erasures_at_once_leave_nothing_of_the_person(world: World) -> None:
    def deliver(store: Store) -> None:
        for _ in range(10):
            world.put(Meeting, meeting(ANN, BOB), store=store)
            world.put(Meeting, meeting(BOB), store=store)

    stores = [world.open_store(Meeting) for _ in range(2)]
    with ThreadPoolExecutor(max_workers=3) as threads:
        delivering = [threads.submit(deliver, store) for store in stores]
        erasing = threads.submit(lambda: [world.forget(ANN) for _ in range(6)])
        for delivered in delivering:
            delivered.result()
        erasing.result()
    assert world.reveal(ANN, BOB) == [BOB]
    assert world.count(Meeting) == 20
    assert world.token(ANN) not in str(world.database.rows("meetings"))
