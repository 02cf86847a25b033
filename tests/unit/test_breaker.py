"""The breaker: what opens it, what closes it, and that ticks mend whatever ends halfway or crosses another step."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations, count
from threading import Semaphore, Thread, current_thread
from typing import Literal

import msgspec
import pytest

from sluice.aws import clients
from sluice.breaker import trip
from sluice.breaker.record import QUIET, Record, decode, parameter
from sluice.deadline import Deadline
from sluice.declaration import witness
from sluice.declaration.registry import load_all
from sluice.declaration.rules import Each, Integer, Rule, Text
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError, Outage
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import SettingError, TripSettings
from tests.unit.kinds import KINDS, Kind
from tests.unit.switches import STACK, START, WHY, World
from tools.testing.aws.service import refusal

LOGINS = parameter(STACK, "breaker", "logins")
SETTINGS = TripSettings(stream_or_unknown="logins", breaker_parameter=LOGINS)
FUNCTION = "arn:aws:lambda:::function:logins"
RECORDS = [{"eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:logins"}]


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@pytest.fixture
def in_world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Return the function that makes a world, which is the one that is seen from then on."""

    def make(*streams: str) -> World:
        world = World(*(streams or ("logins",)))
        monkeypatch.setattr(clients, "client", world.client)
        return world

    return make


@pytest.fixture
def world(in_world: Callable[..., World]) -> World:
    return in_world()


def assert_healed(world: World, stream: str = "logins") -> None:
    """All is well: within a few minutes the mapping is enabled, and an hour later nothing remembers the trip."""
    for _ in range(40):  # after several trips in a row the next probe waits
        if world.minute().get(stream) in (None, "half_open", "closed") and world.state(stream) == "Enabled":
            break
    assert world.state(stream) == "Enabled"
    world.now += QUIET
    world.minute(2)
    assert (world.state(stream), world.record(stream)) == ("Enabled", None)


# In ingest


def test_an_outage_is_recorded_then_the_mapping_disabled_and_the_outage_raised(
    world: World, output: Callable[[], str]
) -> None:
    outage = Outage(WHY)
    with pytest.raises(Outage) as caught, trip.tripping(SETTINGS, RECORDS, FUNCTION):
        raise outage
    assert caught.value is outage
    record = world.record("logins")
    assert record is not None
    assert record == Record(
        state="open",
        stream="logins",
        mapping=world.uuids["logins"],
        function=FUNCTION,
        why=WHY,
        tripped_at=record.tripped_at,
        trips=1,
        probe_at=record.tripped_at,
        half_open_at=None,
    )
    assert world.state("logins") == "Disabling"
    lines = [json.loads(line) for line in output().splitlines()]
    logged = [(line["message"], line["stream"], line["why"]) for line in lines if "message" in line]
    assert logged == [("outage", "logins", WHY), ("breaker opened", "logins", WHY)]
    counted = [
        {name: line[name] for name in line if name not in ("_aws", "service")} for line in lines if "_aws" in line
    ]
    assert counted == [
        {"Outage": [1.0]},
        {"stream": "logins", "Outage": [1.0]},
        {"stream": "logins", "reason": "database", "OutageByReason": [1.0]},
    ]


@pytest.mark.parametrize(
    ("why", "source"),
    [
        ("database: no connection, TimeoutError", "database"),
        ("database: SQLSTATE 42501, table user_logins", "database"),
        ("rds: AccessDenied", "database"),
        ("database secret: must be a JSON object with `username` and `password`", "secrets_manager"),
        ("secrets manager: ThrottlingException", "secrets_manager"),
        ("keyset: key 1 is not known to this database", "keyset"),
        ("kms: DisabledException", "kms"),
        ("vault: no data key", "kms"),
        ("out of time", "deadline"),
        ("every record failed: TypeError", "internal"),
        ("store: KeyError", "internal"),
    ],
)
def test_an_outage_says_in_one_word_what_is_missing(why: str, source: str) -> None:
    assert Outage(why).source == source


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_the_outage_is_raised_whatever_goes_wrong_with_the_trip(call: int, code: str, world: World) -> None:
    world.now = datetime.now(UTC)
    world.before_each_call(failing_at(call, refusal(code)))
    with pytest.raises(Outage), trip.tripping(SETTINGS, RECORDS, FUNCTION):
        raise Outage(WHY)
    world.before_each_call(lambda call: None)
    assert_healed(world)


def test_without_a_parameter_a_record_or_a_mapping_nothing_trips(world: World) -> None:
    without = TripSettings(stream_or_unknown="logins", breaker_parameter=None)
    for settings, records, function in [
        (without, RECORDS, FUNCTION),
        (SETTINGS, [], FUNCTION),
        (SETTINGS, RECORDS, "another"),
        (SETTINGS, [{"eventSourceARN": "another"}], FUNCTION),
    ]:
        with pytest.raises(Outage), trip.tripping(settings, records, function):
            raise Outage(WHY)
    assert (world.state("logins"), world.ssm.texts) == ("Enabled", {})


def test_without_an_error_nothing_trips(world: World) -> None:
    with trip.tripping(SETTINGS, RECORDS, FUNCTION):
        pass
    assert (world.state("logins"), world.ssm.texts) == ("Enabled", {})


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (SettingError("DATABASE_HOST: must be set"), "setting: DATABASE_HOST: must be set"),
        (DeclarationError("logins: there is no module"), "declaration: logins: there is no module"),
        (KeyError("kn4ry"), "internal: KeyError"),
    ],
)
def test_whatever_fails_for_every_batch_trips_and_is_an_outage(
    error: Exception, why: str, world: World, output: Callable[[], str]
) -> None:
    with pytest.raises(Outage) as caught, trip.tripping(SETTINGS, RECORDS, FUNCTION):
        raise error
    assert str(caught.value) == why
    assert (world.state("logins"), "kn4ry" in output()) == ("Disabling", False)


# The message of nobody


@pytest.mark.parametrize("kind", [kind for name, kind in KINDS.items() if name != "custom"])
def test_a_rule_takes_its_example(kind: Kind) -> None:
    rule = kind.rule
    rule.canonical(msgspec.json.decode(msgspec.json.encode(rule.example), type=rule.accepts))


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        (Text(max=2), "pr"),
        (Integer(min=3), 3),
        (Integer(max=-3), -3),
        (Each(Text(max=2)), []),
    ],
)
def test_an_example_keeps_to_the_rules_bounds(rule: Rule, example: object) -> None:
    assert rule.example == example


@pytest.mark.parametrize("stream", load_all())
def test_a_declared_streams_example_is_a_record_that_it_takes(stream: type[Stream], keyset: Keyset) -> None:
    cells = stream.masker(keyset)(msgspec.json.encode(witness.example(stream.layout)).decode()).cells
    assert len(cells) == len(stream.columns())


# Open, half-open, closed


def test_a_good_probe_makes_it_half_open_and_an_hour_of_quiet_closes_it(
    world: World, output: Callable[[], str]
) -> None:
    world.trip("logins")
    output()
    assert world.tick() == {"logins": "open"}  # it is Disabling still
    assert world.minute() == {"logins": "half_open"}
    assert world.state("logins") == "Enabling"
    assert world.probed == [("logins", WHY)]
    assert world.minute(59) == {"logins": "half_open"}
    assert world.minute() == {"logins": "closed"}
    assert (world.state("logins"), world.ssm.texts) == ("Enabled", {})
    assert world.minute() == {}
    lines = [json.loads(line) for line in output().splitlines()]
    assert [line["message"] for line in lines if "message" in line] == ["breaker half-open", "breaker closed"]
    of_stream = [line["BreakerOpen"] for line in lines if "BreakerOpen" in line and "stream" in line]
    of_all = [line["BreakerOpen"] for line in lines if "BreakerOpen" in line and "stream" not in line]
    assert of_stream == of_all == [[1.0], *[[0.0]] * 61]
    assert [(line["outcome"], line["Probe"]) for line in lines if "Probe" in line] == [("good", [1.0])]


def test_a_failing_probe_keeps_the_mapping_disabled_and_is_repeated_every_minute(
    world: World, output: Callable[[], str]
) -> None:
    world.fail("logins")
    world.trip("logins")
    assert world.minute(500) == {"logins": "open"}
    assert len(world.probed) == 500
    assert world.state("logins") == "Disabled"
    assert "probe failed" in output()
    del world.broken["logins"]
    assert world.minute() == {"logins": "half_open"}


def test_each_trip_of_a_half_open_breaker_waits_longer_for_the_next_probe(world: World) -> None:
    waits = []
    for _ in range(9):
        world.trip("logins")
        tripped_at = world.now
        while world.minute() != {"logins": "half_open"}:
            pass
        waits.append((world.now - tripped_at) // timedelta(minutes=1))
        world.minute()
    assert waits == [1, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_trip_after_an_hour_of_being_half_open_is_a_first_one(world: World) -> None:
    for _ in range(2):
        world.trip("logins")
        world.minute(2)
    world.now += timedelta(minutes=60)  # no tick has closed it
    world.trip("logins")
    record = world.record("logins")
    assert record is not None and (record.trips, record.probe_at) == (1, world.now)


def test_a_second_trip_while_open_changes_nothing(world: World) -> None:
    world.trip("logins")
    before = dict(world.ssm.texts)
    world.now += timedelta(seconds=20)
    world.trip("logins", "kms: ThrottlingException")
    assert world.ssm.texts == before


def test_one_streams_failure_does_not_keep_another_from_being_started_again(in_world: Callable[..., World]) -> None:
    world = in_world("a", "b", "c", "d")
    for stream in ("a", "b", "c", "d"):
        world.trip(stream)
    world.fail("a")
    world.broken["b"] = KeyError("a value")
    world.ssm.texts[parameter(STACK, "breaker", "c")] = "{"
    assert world.minute() == {"a": "open", "b": "open", "c": None, "d": "half_open"}


def test_a_probe_that_takes_long_leaves_time_for_the_others(in_world: Callable[..., World]) -> None:
    world = in_world("a", "b", "c")
    for stream in ("a", "b", "c"):
        world.trip(stream)
    clock, shares = [0.0], []

    def probe(stream: str, why: str, deadline: Deadline) -> None:
        shares.append(deadline.seconds_left())
        clock[0] = deadline.at  # all that it was given
        raise Outage("out of time")

    world.probe = probe  # type: ignore[method-assign]
    world.functions.settle()
    assert world.tick(Deadline(60, lambda: clock[0])) == {"a": "open", "b": "open", "c": "open"}
    assert shares == [20, 20, 20]


def test_what_is_logged_of_an_unforeseen_error_is_its_class(world: World, output: Callable[[], str]) -> None:
    world.broken["logins"] = KeyError("424cdd21")
    world.trip("logins")
    world.minute()
    logged = output()
    assert '"why":"KeyError"' in logged and "424cdd21" not in logged


# A person's own switch


def test_a_paused_stream_is_never_enabled_and_goes_on_where_it_was(world: World) -> None:
    world.trip("logins")
    world.pause("logins")
    assert world.minute(100) == {"logins": "paused"}
    assert (world.state("logins"), world.probed) == ("Disabled", [])
    world.fail("logins")
    world.resume("logins")
    assert world.minute() == {"logins": "open"}
    assert world.state("logins") == "Disabled"  # until the probe is good
    world.broken.clear()
    assert_healed(world)


@pytest.mark.parametrize("state", ["Enabled", "Enabling", "Updating"])
def test_a_paused_stream_that_is_enabled_is_disabled(state: str, world: World) -> None:
    world.pause("logins")
    world.functions.mappings[world.uuids["logins"]]["State"] = state
    world.tick()
    world.minute(2)
    assert world.state("logins") == "Disabled"


def test_a_paused_stream_can_trip(world: World) -> None:
    world.pause("logins")
    world.trip("logins")  # a batch that was on its way
    assert world.minute() == {"logins": "paused"}
    assert world.record("logins") is not None
    world.resume("logins")
    assert_healed(world)


def test_a_stream_that_is_paused_while_it_is_probed_stays_disabled(world: World) -> None:
    world.trip("logins")
    world.probe = lambda stream, why, deadline: world.pause(stream)  # type: ignore[method-assign]
    assert world.minute() == {"logins": "open"}
    assert world.minute(3) == {"logins": "paused"}
    assert world.state("logins") == "Disabled"


def test_a_record_that_changes_while_it_is_probed_is_not_overwritten(world: World) -> None:
    world.trip("logins")
    world.functions.settle()
    del world.ssm.texts[LOGINS]
    world.trip("logins")
    later = world.ssm.texts[LOGINS]
    world.ssm.texts[LOGINS] = later.replace(WHY, "kms: ThrottlingException")
    world.probe = lambda stream, why, deadline: world.ssm.texts.update({LOGINS: later})  # type: ignore[method-assign]
    assert world.minute() == {"logins": "open"}
    assert world.ssm.texts == {LOGINS: later}


# What the first release wrote


def of_first_release(world: World, state: str, half_open_at: datetime | None) -> dict[str, object]:
    """Return a record as the first release wrote it, after four trips in a row, the last one at noon."""
    return {
        "state": state,
        "stream": "logins",
        "mapping": world.uuids["logins"],
        "function": FUNCTION,
        "why": WHY,
        "tripped_at": "2025-12-31T12:00:00Z",
        "trips": 4,
        "probe_at": "2025-12-31T12:04:00Z",
        "reopened_at": half_open_at and half_open_at.isoformat(),
    }


@pytest.mark.parametrize(
    ("state", "today", "half_open_at"),
    [("open", "open", None), ("reopened", "half_open", START)],
)
def test_a_record_of_the_first_release_is_read_by_todays_names(
    state: str, today: Literal["open", "half_open"], half_open_at: datetime | None, world: World
) -> None:
    assert decode(json.dumps(of_first_release(world, state, half_open_at))) == Record(
        state=today,
        stream="logins",
        mapping=world.uuids["logins"],
        function=FUNCTION,
        why=WHY,
        tripped_at=datetime(2025, 12, 31, 12, tzinfo=UTC),
        trips=4,
        probe_at=datetime(2025, 12, 31, 12, 4, tzinfo=UTC),
        half_open_at=half_open_at,
    )


def test_a_breaker_that_the_first_release_reopened_closes_an_hour_after_that(world: World) -> None:
    world.ssm.texts[LOGINS] = json.dumps(of_first_release(world, "reopened", START))
    assert world.minute(59) == {"logins": "half_open"}
    assert (world.state("logins"), world.probed) == ("Enabled", [])
    assert world.minute() == {"logins": "closed"}
    assert (world.state("logins"), world.ssm.texts) == ("Enabled", {})


def test_a_trip_soon_after_the_first_release_reopened_waits_longer_for_the_next_probe(world: World) -> None:
    world.ssm.texts[LOGINS] = json.dumps(of_first_release(world, "reopened", START))
    world.now += timedelta(minutes=30)
    world.trip("logins")
    record = world.record("logins")
    assert record is not None
    assert (record.state, record.trips, record.probe_at) == ("open", 5, world.now + timedelta(minutes=8))


def test_a_breaker_that_the_first_release_left_open_is_probed_and_started_again(world: World) -> None:
    world.ssm.texts[LOGINS] = json.dumps(of_first_release(world, "open", None))
    world.functions.mappings[world.uuids["logins"]]["State"] = "Disabled"
    assert world.tick() == {"logins": "half_open"}
    assert world.probed == [("logins", WHY)]
    assert_healed(world)


# What should not be


def test_the_record_of_a_mapping_that_is_gone_is_forgotten(world: World) -> None:
    world.trip("logins")
    world.functions.mappings.clear()
    assert world.minute() == {"logins": "closed"}
    assert world.ssm.texts == {}


def test_a_mapping_that_has_taken_the_place_of_another_trips_anew(world: World) -> None:
    world.trip("logins")
    world.uuids["logins"] = world.functions.add("logins")
    old = next(iter(world.functions.mappings))
    del world.functions.mappings[old]
    world.trip("logins")
    record = world.record("logins")
    assert record is not None and record.mapping == world.uuids["logins"] != old
    assert_healed(world)


@pytest.mark.parametrize(
    "text",
    [
        "{uuid}",
        '{"mapping": "{uuid}"',
        '{"state": "closed", "mapping": "{uuid}"}',
        '{"state": "open", "stream": "logins", "mapping": "{uuid}", "function": "", "why": "", "trips": "many"}',
        '{"stream": "logins", "mapping": "{uuid}", "function": "", "why": "", "tripped_at": "2026-01-01T00:00:00",'
        ' "probe_at": "2026-01-01T00:00:00"}',
    ],
)
@pytest.mark.parametrize("state", ["Enabled", "Disabled"])
def test_a_record_that_cannot_be_read_is_a_trip(text: str, state: str, world: World) -> None:
    world.functions.mappings[world.uuids["logins"]]["State"] = state
    world.ssm.texts[LOGINS] = text.replace("{uuid}", world.uuids["logins"])
    world.fail("logins")
    assert world.minute(3) == {"logins": "open"}
    assert world.state("logins") == "Disabled"
    del world.broken["logins"]
    assert_healed(world)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"mapping": 5}'])
def test_a_record_without_its_mapping_is_told_every_minute_and_replaced_by_the_next_trip(
    text: str, world: World, output: Callable[[], str]
) -> None:
    world.ssm.texts[LOGINS] = text
    assert world.minute() == {"logins": None}
    assert '"why":"the record names no event source mapping"' in output()
    world.trip("logins")
    assert_healed(world)


def test_parameters_of_other_kinds_are_none_of_ours(world: World) -> None:
    world.ssm.texts[f"/sluice/{STACK}/other/logins"] = "{"
    world.ssm.texts["/sluice/tests-2/breaker/logins"] = "{"
    assert world.minute() == {}


def test_parameters_that_cannot_be_read_are_an_error_of_the_tick(world: World) -> None:
    world.before_each_call(failing_at(0, refusal("ThrottlingException")))
    with pytest.raises(clients.errors()):
        world.tick()


# Ended halfway


def failing_at(number: int, failure: BaseException) -> Callable[[str], None]:
    """Return what is to be called before each call: it fails before the one with that number, from 0."""
    calls = count()

    def before(call: str) -> None:
        if next(calls) == number:
            raise failure

    return before


def tripped(world: World) -> None:
    world.trip("logins")


def about_to_be_half_open(world: World) -> None:
    world.trip("logins")
    world.functions.settle()


def to_be_disabled(world: World) -> None:
    world.trip("logins")
    world.functions.mappings[world.uuids["logins"]]["State"] = "Enabled"


def half_open(world: World) -> None:
    about_to_be_half_open(world)
    world.minute(2)


def about_to_be_closed(world: World) -> None:
    half_open(world)
    world.now += QUIET


BEFORE_A_TICK = [tripped, about_to_be_half_open, to_be_disabled, about_to_be_closed]
BEFORE_A_TRIP = [lambda world: None, tripped, half_open, about_to_be_closed]


@pytest.mark.parametrize("failure", [Killed(), refusal("ThrottlingException")], ids=["killed", "throttled"])
@pytest.mark.parametrize("call", range(9))
@pytest.mark.parametrize("prepare", BEFORE_A_TICK)
def test_a_tick_that_ends_before_any_of_its_calls_is_mended_by_the_next(
    prepare: Callable[[World], None], call: int, failure: BaseException, world: World
) -> None:
    prepare(world)
    world.before_each_call(failing_at(call, failure))
    with suppress(Killed, *clients.errors()):
        world.tick()
    world.before_each_call(lambda call: None)
    assert_healed(world)


@pytest.mark.parametrize("call", range(7))
@pytest.mark.parametrize("prepare", BEFORE_A_TRIP)
def test_a_trip_that_ends_before_any_of_its_calls_is_mended_by_the_next_tick(
    prepare: Callable[[World], None], call: int, world: World
) -> None:
    prepare(world)
    world.before_each_call(failing_at(call, Killed()))
    with suppress(Killed):
        world.trip("logins")
    world.before_each_call(lambda call: None)
    assert_healed(world)


# At the same time


def interleaved(world: World, actors: Sequence[Callable[[], object]], turns: Sequence[int]) -> None:
    """Run actors at once, so that their AWS calls take turns: each number is whose the next call is."""
    gates = {f"actor-{number}": Semaphore(0) for number in range(len(actors))}
    waiting = Semaphore(0)  # released when an actor waits for its turn, or is done
    done: set[int] = set()

    def before(call: str) -> None:
        waiting.release()
        assert gates[current_thread().name].acquire(timeout=10)

    def run(number: int) -> None:
        try:
            actors[number]()
        finally:
            done.add(number)
            waiting.release()

    world.before_each_call(before)
    threads = [Thread(target=run, args=(number,), name=f"actor-{number}") for number in range(len(actors))]
    for thread in threads:
        thread.start()
        assert waiting.acquire(timeout=10)
    for number in [*turns, *(number for number in range(len(actors)) for _ in range(20))]:
        if number not in done:
            gates[f"actor-{number}"].release()
            assert waiting.acquire(timeout=10)
    for thread in threads:
        thread.join()
    world.before_each_call(lambda call: None)


def orders(first: int, second: int) -> Iterator[list[int]]:
    """Yield every order of so many calls of the one and of the other."""
    for places in combinations(range(first + second), first):
        yield [0 if place in places else 1 for place in range(first + second)]


@pytest.mark.long
@pytest.mark.parametrize("prepare", [lambda world: None, half_open])
def test_of_two_trips_at_once_one_counts(prepare: Callable[[World], None], in_world: Callable[..., World]) -> None:
    for turns in orders(6, 6):
        world = in_world()
        prepare(world)
        before = world.record("logins")
        interleaved(world, [partial(world.trip, "logins")] * 2, turns)
        record = world.record("logins")
        assert record is not None, turns
        assert (record.state, record.trips) == ("open", 1 if before is None else 2), turns
        assert world.state("logins") == "Disabling", turns
        assert_healed(world)


@pytest.mark.long
@pytest.mark.parametrize("prepare", [about_to_be_half_open, about_to_be_closed])
def test_a_trip_at_the_moment_of_a_tick_is_mended_in_every_order_of_their_calls(
    prepare: Callable[[World], None], in_world: Callable[..., World]
) -> None:
    for turns in orders(6, 7):
        world = in_world()
        prepare(world)
        interleaved(world, [partial(world.trip, "logins"), world.tick], turns)
        try:
            assert_healed(world)
        except AssertionError:
            pytest.fail(f"not mended: {turns}")


def test_a_pause_at_the_moment_of_a_restart_is_obeyed_after_the_next_ticks(in_world: Callable[..., World]) -> None:
    for turns in orders(1, 7):
        world = in_world()
        about_to_be_half_open(world)
        interleaved(world, [partial(world.pause, "logins"), world.tick], turns)
        world.minute(2)
        world.functions.settle()
        assert world.state("logins") == "Disabled", turns


def test_two_ticks_at_once_start_it_once_and_close_it_once(in_world: Callable[..., World]) -> None:
    for prepare in (about_to_be_half_open, about_to_be_closed):
        for turns in orders(4, 6):
            world = in_world()
            prepare(world)
            interleaved(world, [world.tick, world.tick], turns)
            assert_healed(world)


# What an outage costs


VISIBILITY_TIMEOUT = timedelta(minutes=6)


@pytest.mark.parametrize("failed_restarts", [0, 1, 3, 8])
@pytest.mark.parametrize("outage_minutes", [1, 5, 13, 600, 24 * 60])
@pytest.mark.parametrize("concurrency", [1, 10])
def test_an_outage_uses_two_receives_of_a_message_and_one_for_each_failed_restart(
    concurrency: int, outage_minutes: int, failed_restarts: int, world: World
) -> None:
    visible_at = dict.fromkeys(range(100), START)
    receives = dict.fromkeys(visible_at, 0)
    mended_at = START + timedelta(minutes=outage_minutes)
    restarts = 0  # the first ones fail: the probe does not see what a batch sees

    world.fail("logins")
    while visible_at:
        assert world.now < mended_at + timedelta(hours=5)
        works = world.now >= mended_at and restarts > failed_restarts
        if world.state("logins") in ("Enabled", "Enabling", "Disabling"):  # Lambda stops to poll when it is disabled
            for number in [number for number, at in visible_at.items() if at <= world.now][:concurrency]:
                receives[number] += 1
                if works:
                    del visible_at[number]
                else:
                    visible_at[number] = world.now + VISIBILITY_TIMEOUT
                    world.trip("logins")
        if world.now >= mended_at:
            world.broken.clear()
        before = world.record("logins")
        world.minute()
        after = world.record("logins")
        restarts += bool(before and after and (before.state, after.state) == ("open", "half_open"))
    assert restarts == failed_restarts + 1
    assert max(receives.values()) <= 2 + failed_restarts <= 10
