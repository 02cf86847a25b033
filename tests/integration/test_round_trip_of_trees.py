"""What a Tree keeps arrives in PostgreSQL as it was, and what no path leads to is nowhere."""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count, pairwise
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact
from sluice.declaration.stream import Masked, Row, Stream
from sluice.declaration.tree import Tree
from sluice.failures import Rejected
from sluice.ingest.rows import MaskedRow
from sluice.migrate import rights
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import KEYSET, numbered
from tests.unit.kinds import declare

type Steps = tuple[str, ...]

TABLE = """
CREATE TABLE trees (
    props jsonb NOT NULL, props_d text[] NOT NULL, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""
SENT_AT = "2026-01-31T23:59:59.999+00:00"
KEYSET_OF_TEST = Keyset.parse(KEYSET)
TOKEN = KEYSET_OF_TEST.pseudonymizer("d")
NAMES = [*"aaaabbbb01", "*", "**", "~", "a/b", "", "é", '"\\', "'"]
MASKS: list[Mask] = [Keep(), Redact(constant="[gone]"), Redact(), Pseudonym(domain="d")]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30).filter(
    lambda number: number.is_zero() is False and abs(number.adjusted()) < 100
)

steps = st.sampled_from([*map(json.dumps, NAMES), *["*", "**"] * 4])
paths = st.lists(steps, min_size=1, max_size=3).filter(lambda path: ("**", "**") not in pairwise(path)).map(tuple)


def trees(number: Iterator[int]) -> st.SearchStrategy[Any]:
    """Return JSON objects, in which each text and each key that no path can name stands once."""
    texts = st.builds(lambda text: f"text {next(number)} {text}", st.text(CHARACTERS, max_size=5))
    unnamed = st.builds(lambda: f"key {next(number)}")
    keys = st.sampled_from(NAMES) | unnamed
    inner = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**70) | NUMBERS | texts,
        lambda one: st.lists(one, max_size=3) | st.dictionaries(keys, one, max_size=4),
        max_leaves=8,
    )
    return st.dictionaries(keys, inner, max_size=5)


def spelled(path: list[str]) -> str:
    """Return a path as it is declared; its keys come as JSON."""
    return "".join("/" + (step if step in ("*", "**") else escaped(json.loads(step))) for step in path)


def escaped(key: str) -> str:
    return key.replace("*", "~*") if key in ("*", "**") else key.replace("~", "~0").replace("/", "~1")


class Oracle:
    """What a Tree must keep, found out slowly: each place is compared with each path."""

    def __init__(self, paths: dict[str, tuple[list[str], Mask]]) -> None:
        self._paths = [
            (re.compile("".join(map(self._pattern, path)), re.DOTALL), self._rank(path), mask)
            for path, mask in paths.values()
        ]

    @staticmethod
    def _pattern(step: str) -> str:
        if step == "**":
            return "(?:\0[^\0]*)*"
        return "\0[^\0]*" if step == "*" else "\0" + re.escape(json.loads(step))

    @staticmethod
    def _rank(path: list[str]) -> list[int]:
        return [{"**": 0, "*": 1}.get(step, 2) for step in reversed(path)]

    def mask(self, place: Steps) -> Mask | None:
        """Return the mask of the most specific path that leads to a place."""
        text = "".join(f"\0{step}" for step in place)
        found = [(rank, mask) for pattern, rank, mask in self._paths if pattern.fullmatch(text)]
        best = max((rank for rank, _ in found), default=None)
        return next((mask for rank, mask in found if rank == best), None)

    def kept(self, value: Any, place: Steps = ()) -> list[Any]:
        """Return what is kept of a value in a list, which is empty where nothing is."""
        mask = self.mask(place)
        if isinstance(value, dict):
            members = {key: self.kept(member, (*place, key)) for key, member in value.items()}
            return [{key: found[0] for key, found in members.items() if found}] if any(members.values()) or mask else []
        if isinstance(value, list):
            found = [self.kept(element, (*place, str(index))) for index, element in enumerate(value)]
            return [[one[0] if one else None for one in found]] if any(found) or mask else []
        return [] if mask is None else [masked(mask, value)]


def masked(mask: Mask, value: Any) -> Any:
    if value is None or isinstance(mask, Keep):
        return value
    if isinstance(mask, Redact):
        return mask.constant
    if isinstance(value, bool | str):
        return TOKEN(str(value).lower() if isinstance(value, bool) else value)
    whole, _, fraction = format(Decimal(value), "f").partition(".")
    return TOKEN(f"{whole}.{fraction.rstrip('0')}".rstrip("."))


def markers(text: str) -> set[str]:
    """Return what stands in a text of the keys and texts that stand once each."""
    return set(re.findall(r"(?:key|text) \d+", text))


def tokens(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from tokens(inner)
    elif isinstance(value, str) and value.startswith("t1_"):
        yield value


def digits(value: Any) -> Any:
    """Return JSON with its numbers as texts of all their digits."""
    if isinstance(value, dict):
        return {key: digits(member) for key, member in value.items()}
    if isinstance(value, list):
        return [digits(element) for element in value]
    return value if value is None or isinstance(value, bool | str) else f"number {format(Decimal(value), 'f')}"


def in_json(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{in_json(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(in_json, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def at(value: Any, pointer: str) -> Any:
    """Return what is at a pointer in which `*` can be any key."""
    found = [value]
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = [
            member
            for one in found
            if isinstance(one, dict | list)
            for name, member in (one.items() if isinstance(one, dict) else enumerate(one))
            if step == "*" or str(name) == key
        ]
    return found


def test_what_a_tree_keeps_arrives_as_it_was_and_nothing_else_does(
    database: TestDatabase, open_store: OpenStore
) -> None:
    database.sql(TABLE)
    numbers, ids = count(1), map(numbered, count(1))
    stored: list[Any] = []
    refused: list[Rejected] = []
    declared: Any = stream_of({"/x": Pseudonym(domain="d")})
    rights.grant(database.owner, declared, LOGINS)
    store = open_store(declared)

    masks = st.dictionaries(paths, st.sampled_from(MASKS), min_size=1, max_size=5)

    @given(masks, st.lists(trees(numbers), max_size=9))
    @settings(max_examples=40, deadline=None, database=None)
    def round_trip(named: dict[tuple[str, ...], Mask], records: list[dict[str, Any]]) -> None:
        uses = {spelled([*path]): ([*path], mask) for path, mask in named.items()}
        mask = stream_of({path: mask for path, (_, mask) in uses.items()}).masker(KEYSET_OF_TEST)
        rows, wanted = [], []
        for record in records:
            oracle = Oracle(uses)
            cells, why = masked_or_refused(mask, f'{{"props": {in_json(record)}}}')
            if why:
                assert why.reason == "wrong_type"
                assert any(isinstance(one, dict | list) for one in at({"props": record}, why.pointer))
                refused.append(why)
                continue
            (kept,) = oracle.kept(record) or [{}]
            assert markers("".join(map(str, cells))) <= markers(json.dumps(digits(kept), ensure_ascii=False))
            array = sorted(set(tokens(kept)))
            rows.append(MaskedRow(next(ids), SENT_AT, cells if len(cells) == 2 else (*cells, "{}")))
            wanted.append((digits(kept), array))
        assert write(store, rows, in_seconds(60)) == (len(rows), 0, [])
        found = database.sql(
            "SELECT props::text, to_json(props_d)::text FROM trees WHERE message_id = ANY(CAST(:ids AS uuid[]))"
            " ORDER BY message_id",
            ids=[row.message_id for row in rows],
        )
        assert [(digits(json.loads(p, parse_float=Decimal)), sorted(json.loads(d))) for p, d in found] == wanted
        stored.extend(kept for kept, _ in wanted if kept)

    round_trip()
    assert (bool(stored), bool(refused)) == (True, True)


def masked_or_refused(mask: Callable[[str], Masked], body: str) -> tuple[Row, Rejected | None]:
    try:
        return mask(body).cells, None
    except Rejected as rejected:
        return (), rejected


def stream_of(paths: dict[str, Mask]) -> type[Stream]:
    made: type[Stream] = declare(Stream, {"props": Annotated[dict[str, Any], Tree(paths)]}, table="trees")
    return made
