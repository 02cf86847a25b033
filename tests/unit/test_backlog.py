"""The simulation of an event source mapping: hand-computed backlogs."""

import re
from collections import Counter
from math import inf

import pytest

from sluice.aws import event_source
from tests.unit.cli import run
from tests.unit.template import TRANSFORMED
from tools.sluice_cli.authors.capacity import backlog
from tools.sluice_cli.authors.capacity.backlog import Backlog, Outage, Outcome, simulate

QUICK = {"of_a_poller": inf}


def outcome(messages: int, concurrency: int, own: float = 0, of_database: float = 0, **how: object) -> Outcome:
    """Simulate with batches that take as many seconds, however many records they have."""
    return simulate(Backlog(messages, concurrency, **how), lambda _: (own, of_database))  # type: ignore[arg-type]


def test_a_poller_receives_for_its_window_and_then_waits_for_its_batch() -> None:
    # Two pollers receive 100 in a second, and have them stored in another one: 400 in four seconds.
    assert outcome(400, 2, own=1) == Outcome(4, Counter({1: 400}), 0, 4)


def test_a_batch_is_handed_over_when_it_is_full() -> None:
    assert outcome(100, 2, batch_size=50).seconds == 0.5


def test_what_is_less_than_a_batch_is_handed_over_when_the_window_is_over() -> None:
    assert outcome(30, 2, window_seconds=5).seconds == 5


def test_without_a_window_a_poller_hands_over_ten() -> None:
    assert outcome(40, 2, window_seconds=0) == Outcome(0.2, Counter({1: 40}), 0, 4)


def test_there_are_five_pollers_and_three_hundred_more_a_minute() -> None:
    # A batch takes longer than all of it: as many batches have begun as there are pollers.
    assert outcome(5, 1000, own=1, batch_size=1, **QUICK).seconds == 1
    assert outcome(6, 1000, own=1, batch_size=1, **QUICK).seconds == pytest.approx(1.2)  # the sixth 0.2 s later
    assert outcome(305, 1000, own=100, batch_size=1, **QUICK).seconds == pytest.approx(160)
    # The hundredth begins after 19 s. After three rounds of all, the first five have a fourth batch.
    assert outcome(305, 100, own=100, batch_size=1, **QUICK).seconds == pytest.approx(400)


def test_postgresql_writes_a_batch_at_a_time() -> None:
    assert outcome(1000, 5, of_database=2, batch_size=100, **QUICK).seconds == 20


def test_no_more_are_in_flight_than_a_queue_lets_be() -> None:
    # 12 pollers have 10,000 each, then the quota is reached: eight more batches begin when the first eight are stored.
    found = outcome(200_000, 20, own=100, batch_size=10_000, **QUICK)
    assert found.seconds == pytest.approx(200.6)  # the eighth poller's first one began after 0.6 s
    assert found.stored == {1: 200_000}


def test_a_backlog_becomes_shorter_only_if_less_comes_than_is_read() -> None:
    assert outcome(1000, 2, arriving=201).seconds is None
    # Each second two pollers take 200. The second one finds 900 - 10 t, which is less than its 100 after 81 seconds.
    assert outcome(1000, 2, arriving=190).seconds == 81


def test_with_the_breaker_an_outage_costs_a_receive() -> None:
    # Two pollers fail a batch of 100 in each two seconds until the mapping is disabled, a minute after the first.
    found = outcome(100_000, 2, outage=Outage(0, 3600))
    assert found.stored == {1: 93_800, 2: 6_200}
    # The first batch fails at 2 s. Disabled at 62 s, good probe at 3,600 s, read again from 3,660 s; 500 s for 100,000.
    assert found.seconds == 3660 + 500


def test_what_failed_comes_back_after_the_visibility_timeout() -> None:
    found = outcome(100, 2, outage=Outage(0, 1.5))
    assert found == Outcome(backlog.VISIBILITY_SECONDS + 1, Counter({2: 100}), 0, 2)


@pytest.mark.parametrize(("minutes", "stored", "dead"), [(10, {2: 100}, 0), (98, {10: 100}, 0), (100, {}, 100)])
def test_without_the_breaker_an_outage_costs_a_receive_each_eleven_minutes(
    minutes: int, stored: dict[int, int], dead: int
) -> None:
    found = outcome(100, 2, outage=Outage(0, 60 * minutes), has_breaker=False)
    assert (found.stored, found.dead) == (stored, dead)


def test_without_the_breaker_as_many_are_lost_as_can_be_in_flight() -> None:
    found = outcome(1_000_000, 10, batch_size=1000, outage=Outage(0, 7200), has_breaker=False, **QUICK)
    assert (found.dead, found.stored[2], found.stored.total()) == (120_000, 120_000, 880_000)


def test_figures_are_those_of_the_template() -> None:
    queue = TRANSFORMED["LoginsQueue"]["Properties"]
    assert queue["VisibilityTimeout"] == backlog.VISIBILITY_SECONDS
    assert queue["RedrivePolicy"]["maxReceiveCount"] == backlog.MAX_RECEIVES
    mapping = TRANSFORMED["LoginsIngestFunctionLogins"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert "A change takes a minute" in (event_source.__doc__ or "")


def shown(*arguments: str) -> list[list[str]]:
    code, printed, errors = run("capacity", "--records-per-second", *arguments)
    assert (code, errors) == (0, "")
    return [re.split(r" *│ *", line.strip("│ ")) for line in printed.splitlines() if line.startswith("│")]


def test_the_command_has_a_line_for_each_concurrency() -> None:
    lines = shown("500", "--backlog", "100000", "--concurrency", "2,10")
    assert [line[0] for line in lines] == ["2", "10"]
    assert lines[0][1] == "never"  # 200 a second are read
    assert lines[1][1].startswith("3 min")  # 100,000 / (995 - 500)


def test_the_command_tells_what_an_outage_costs() -> None:
    found = shown("0", "--backlog", "10000", "--outage", "120")
    assert found == [["10", "2 h 1 min", "2 h 1 min", "10,000", "2", "10,000"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("1,2 --backlog 10", "--backlog takes one number of records a second and one batch size"),
        ("1 --backlog 10 --concurrency 1", "--concurrency is a number from 2 to 1,000, or several"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_a_line(arguments: str, message: str) -> None:
    assert run("capacity", "--records-per-second", *arguments.split()) == (2, "", f"sluice: capacity: {message}\n")
