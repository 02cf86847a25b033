"""The ledger's rows: ids that grow with the time, and counts that add up, whatever became of the records."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from sluice.declaration import description
from sluice.ingest.ledger import Batch, Ledger, Outcome, first_id
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.operators.audit.ledger import OUTCOMES
from streams.orders import Order
from streams.user_logins import UserLogin

SENT_AT = ("2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00.000Z")


class Recording:
    """A connection that keeps the rows that are written."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def run_last(self, sql: str) -> None:
        self.rows += msgspec.json.decode(sql.partition("NULL::batch, '")[2].partition("')")[0])


def rows(*ids: str, stream: str = "user_logins") -> list[MaskedRow]:
    return [MaskedRow(one, SENT_AT[number % 2], (), stream=stream) for number, one in enumerate(ids)]


def rejection(message_id: str, stream: str = "user_logins") -> Rejection:
    return Rejection(message_id, stream, "empty", "", {})


def appended(batch: Batch, outcome: Outcome, *streams: Any) -> list[dict[str, Any]]:
    connection: Any = Recording()
    Ledger(streams or (UserLogin,), "common:7 streams:3").append(connection, batch, outcome, 2, 12.6)
    written: list[dict[str, Any]] = connection.rows
    return written


def counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in ("received", *OUTCOMES) if row[name]}


def nothing(all_rows: Sequence[MaskedRow]) -> Outcome:
    return Outcome(all_rows, [], [], [], [], [], frozenset())


def test_ids_grow_with_the_time_and_fit_a_bigint() -> None:
    now = int(time.time() * 1000)
    ids = [Batch("s").id for _ in range(100)]
    assert len(set(ids)) == 100
    assert first_id(now - 1) <= min(ids)
    assert max(ids) < first_id(now + 60_000) < 2**63
    assert (first_id(0), first_id(3_900_000_000_000) < 2**63) == (0, True)  # of 1970, and of 2093


def test_a_batch_that_is_written_whole() -> None:
    (row,) = appended(Batch("user_logins", "request", id=5), nothing(rows("1", "2"))._replace(written=rows("1", "2")))
    assert row == {
        "id": 5,
        "stream": "user_logins",
        "request_id": "request",
        "code_version": "common:7 streams:3",
        "declaration": description.fingerprint(UserLogin),
        "key_number": 2,
        "received": 2,
        "written": 2,
        "duplicates": 0,
        "rejected": 0,
        "rejected_again": 0,
        "erased": 0,
        "expired": 0,
        "ignored": 0,
        "oldest": SENT_AT[0],
        "newest": SENT_AT[1],
        "milliseconds": 13,
    }


def test_what_became_of_every_record_is_told_once() -> None:
    came = rows("written", "known", "erased", "refused", "refused_again", "written", "expired")
    outcome = Outcome(
        rows=came,
        written=came[:1],
        erased=came[2:3],
        expired=came[6:],
        refused=came[3:5],
        rejections=[rejection("junk"), rejection("junk_again")],
        newly_rejected={"refused", "junk"},
    )
    (row,) = appended(Batch("user_logins", ignored=3), outcome)
    assert counts(row) == {
        "received": 12,
        "written": 1,
        "duplicates": 2,
        "rejected": 2,
        "rejected_again": 2,
        "erased": 1,
        "expired": 1,
        "ignored": 3,
    }
    assert row["received"] == sum(row[name] for name in OUTCOMES)


def test_a_route_has_a_row_for_each_stream_and_one_for_what_is_of_none() -> None:
    came = [*rows("1", "2"), *rows("1", stream="orders")]
    outcome = nothing(came)._replace(written=came[:2], rejections=[rejection("9", "calls"), rejection("8", "orders")])
    written = appended(Batch("calls", ignored=1), outcome, UserLogin, Order)
    assert {row["stream"]: counts(row) for row in written} == {
        "calls": {"received": 2, "rejected_again": 1, "ignored": 1},
        "orders": {"received": 2, "duplicates": 1, "rejected_again": 1},
        "user_logins": {"received": 2, "written": 2},
    }
    declarations = {row["stream"]: row["declaration"] for row in written}
    assert declarations == {
        "calls": None,
        "orders": description.fingerprint(Order),
        "user_logins": description.fingerprint(UserLogin),
    }
    assert [row["stream"] for row in written if "oldest" in row] == ["orders", "user_logins"]


@pytest.mark.parametrize(
    ("batch", "counted"),
    [
        (Batch("user_logins"), []),
        (Batch("user_logins", ignored=2), [{"received": 2, "ignored": 2}]),
        (Batch("user_logins", known=3), [{"received": 3, "duplicates": 3}]),
    ],
)
def test_a_batch_without_rows(batch: Batch, counted: list[dict[str, int]]) -> None:
    assert [counts(row) for row in appended(batch, nothing([]))] == counted
