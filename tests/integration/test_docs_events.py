"""docs/events: real events become rows of a real PostgreSQL, each once, and nobody in them is anywhere in the clear."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from importlib import invalidate_caches
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import streams
from sluice.declaration import registry
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Stream
from sluice.migrate import schema
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.erasing import Forgetting, forget_function
from tests.integration.messages import KEYSET, event, failures, numbered, record, token
from tools.project import PROJECT
from tools.sluice_cli.authors import examples
from tools.sluice_cli.authors.examples import Example, Refused

PAGES = PROJECT / "docs" / "events"
NAMES = sorted(page.parent.name for page in PAGES.glob("*/README.md"))
FEWEST = 10  # good samples
OF_THEIR_OWN_IDENTITY = {*NAMES} - {"github_push", "s3_uploads"}  # also under another id of SQS
PERSONS = {  # somebody whose rows there are
    "cloudtrail": "arn:aws:iam::123456789012:user/maren.holt",
    "github_push": "yuki-sato",
    "okta": "00umadeup0000000018x",
    "s3_uploads": "AWS:AIDAEXAMPLEMAREN00001",
    "segment": "10017",
    "ses": "maren.holt@example.org",
    "shop_order": "7000000000017",
    "stripe": "cus_PmadeUp0000001",
}
WITH_MENTIONS = {"github_push", "okta"}  # of that person
TOKENS = re.compile(r"t1_[\w-]{43}")
# What is random or tells a moment, in which a few digits may stand by chance.
CHANCE = re.compile(
    r"t\d+_[\w-]{43}"  # a token
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|[0-9a-f]{32,}"  # sealed values, keys and hashes
    r"|\b\d{17,19}\b"  # the number of a batch
    r"|\d{4}-\d\d-\d\dt\d\d:\d\d:\d\d\.\d+"
)
PEOPLE = [  # what the samples say of people
    *["maren", "holt", "tomas", "tomás", "ibáñez", "ibanez", "zoe", "zoë", "müller", "yuki", "sato", "佐藤", "由紀"],
    *["203.0.113.77", "2001:db8:12:34::5", "7946", "5550143", "beispielgasse", "例町", "4242", "5555 5555"],
]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a stream that is copied into a project as the page says."""
    name: str = request.param
    (tmp_path / "docs").symlink_to(PROJECT / "docs")
    for folder in ("examples", "migrations"):
        (tmp_path / "layers" / "streams" / folder).mkdir(parents=True)
    commands = re.findall(r"^cp .*", (PAGES / "README.md").read_text("utf-8"), re.MULTILINE)
    for command in commands:
        subprocess.run(command.replace("stripe", name).split(), cwd=tmp_path, check=True)
    assert len(commands) == 3
    monkeypatch.setattr(streams, "__path__", [str(tmp_path / "layers" / "streams"), *streams.__path__])
    invalidate_caches()
    yield name
    sys.modules.pop(f"streams.{name}", None)


@pytest.fixture
def stream(name: str) -> type[Stream]:
    return registry.load(name)


@pytest.fixture
def send(
    name: str,
    tmp_path: Path,
    database: TestDatabase,
    environments: Callable[[], Environment],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[list[dict[str, Any]]], Any]:
    """Deploy the stream, and return the function from messages of SQS to the answer of the ingest function."""
    (migration,) = (tmp_path / "layers" / "streams" / "migrations").iterdir()
    database.sql(f"SET ROLE {OWNER.username}; {migration.read_text('utf-8')}; RESET ROLE")
    owner = Database(database.settings("owner"), "sluice-migrate")
    schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
    monkeypatch.setenv("STREAM", name)
    ingest = environments()
    return lambda sent: ingest.invoke(event(*sent))


@pytest.fixture
def forgetting(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    yield from forget_function(monkeypatch)


class Examples(NamedTuple):
    """The examples of a stream, by what becomes of them."""

    good: list[Example]
    bad: list[Example]
    ignored: list[Example]


def of_file(name: str) -> Examples:
    found = [examples.parse(line) for _, line in examples.numbered(name)]
    bad = [example for example in found if isinstance(example.refused, Refused)]
    ignored = [example for example in found if example.ignored is True]
    return Examples([one for one in found if one not in bad and one not in ignored], bad, ignored)


def messages(stream: type[Stream], found: list[Example], first: int = 1) -> list[dict[str, Any]]:
    """Return the messages of SQS that bring examples, with ids that count from `first`."""
    return [record(examples.body(stream, one), numbered(number)) for number, one in enumerate(found, first)]


def test_its_examples_become_what_they_say(name: str, stream: type[Stream]) -> None:
    good, bad, _ = of_file(name)
    assert examples.differences(name, stream, Keyset.parse(KEYSET)) == []
    assert len(good) >= FEWEST
    assert len(bad) >= FEWEST // 2


def alike(row: dict[str, Any], tokens: re.Pattern[str]) -> Any:
    """Return a row as it is compared: with one word for all tokens, and one spelling of each moment and number."""

    def spelled(value: Any) -> Any:
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).isoformat()
            except ValueError:
                return tokens.sub("…", value)
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, list):
            return [spelled(element) for element in value]
        return {key: spelled(one) for key, one in value.items()} if isinstance(value, dict) else value

    return spelled({column: value for column, value in row.items() if column not in OWN_COLUMNS})


def labels_of(stream: type[Stream], rows: list[dict[str, Any]]) -> re.Pattern[str]:
    """Return the pattern of the labels that stand for tokens in the rows of examples."""
    found: set[str] = set()

    def note(label: str) -> str:
        found.add(label)
        return label

    for row in rows:
        for place in stream.token_places:
            place.replace(row[place.column], note)
    return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))


def test_its_records_become_rows_each_once(
    database: TestDatabase, name: str, stream: type[Stream], send: Callable[[list[dict[str, Any]]], Any]
) -> None:
    good, _, ignored = of_file(name)
    wanted: list[Any] = [row for one in good for row in (one.rows if isinstance(one.rows, list) else [one.row])]
    labels = labels_of(stream, wanted)
    has_identity = name in OF_THEIR_OWN_IDENTITY
    unique = [row for number, row in enumerate(wanted) if not has_identity or row not in wanted[:number]]
    again = len(good) + 1 if has_identity else 1
    for first in (1, again):
        assert send(messages(stream, good, first)) == failures()
        found = [alike(row, TOKENS) for row in database.rows(stream.table)]
        for row in [alike(row, labels) for row in unique]:
            assert row in found
            found.remove(row)
        assert found == []
    assert send(messages(stream, ignored, 1000)) == failures()
    assert len(database.rows(stream.table)) == len(unique)
    assert database.rejections() == {}
    assert people_in(database) == set()


def test_what_is_bad_is_refused_where_its_example_says(
    database: TestDatabase, name: str, stream: type[Stream], send: Callable[[list[dict[str, Any]]], Any]
) -> None:
    for example in of_file(name).bad:
        database.sql("DELETE FROM rejection")
        sent = messages(stream, [example])
        refused = example.refused
        assert isinstance(refused, Refused)
        around = "" if stream.splitter is None or isinstance(example.body, str) else stream.splitter.pointer(0)
        assert send(sent) == failures(*sent)
        assert [*database.rejections().values()] == [(refused.reason, around + refused.pointer)]
        assert people_in(database) == set()


def test_a_person_is_erased_from_rows_and_from_mentions(
    database: TestDatabase,
    name: str,
    stream: type[Stream],
    send: Callable[[list[dict[str, Any]]], Any],
    forgetting: Forgetting,
) -> None:
    assert send(messages(stream, of_file(name).good)) == failures()
    of_person = {PERSONS[name], token("subject", PERSONS[name])}
    assert any(one in str(database.rows(stream.table)) for one in of_person)
    answer = forgetting.forget(PERSONS[name])
    assert answer["rows"][name] > 0
    assert (answer["mentions"].get(name, 0) > 0) == (name in WITH_MENTIONS)
    assert not any(one in str(database.rows(stream.table)) for one in of_person)


def people_in(database: TestDatabase) -> set[str]:
    """Return what the tables say of people in the clear."""
    tables = [name for (name,) in database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    rows = str([database.sql(f"SELECT row_to_json(t)::text FROM {table} t") for table in tables]).casefold()
    return {one for one in PEOPLE if one in CHANCE.sub("", rows)}


def test_the_samples_have_what_must_be_nowhere() -> None:
    samples = "".join(path.read_text("utf-8") for path in PAGES.glob("*/*.jsonl")).casefold()
    assert [one for one in PEOPLE if one not in samples] == []


def test_the_page_names_every_stream() -> None:
    named = re.findall(r"\]\((\w+)/README\.md\)", (PAGES / "README.md").read_text("utf-8"))
    assert sorted(named) == NAMES
