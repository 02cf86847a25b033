"""The price of the vault: milliseconds of the same batch with and without one, by turns."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.bench.contenders import Contender, sluice
from tools.bench.environment import WITHOUT_VAULT
from tools.bench.records import Event, Records
from tools.bench.writing import WARMING_RECORDS, Table, Timing, failures

SEALING, ANOTHER = "sealing", "another"


@dataclass(frozen=True)
class Case:
    """What the vault and the environment know of a batch, and who told them, by a batch of as many records before."""

    environment: str
    taught_by: str
    before: Callable[[Records, Event], Event]
    new_share: float  # of the batch's values, for the vault


CASES = {
    "without": Case(WITHOUT_VAULT, WITHOUT_VAULT, Records.sent_again, 0),
    "known": Case(SEALING, SEALING, Records.sent_again, 0),
    "half new": Case(SEALING, SEALING, Records.on_other_devices, 0.5),
    "all new": Case(SEALING, SEALING, lambda records, event: records.event(len(event["Records"])), 1),
    "half sealed by another": Case(SEALING, ANOTHER, Records.on_other_devices, 0.5),
}


def environments() -> dict[str, Contender]:
    """Return execution environments by name: one without recovery, and two that seal."""
    streams = {WITHOUT_VAULT: WITHOUT_VAULT, SEALING: "user_logins", ANOTHER: "user_logins"}
    return {name: sluice(stream) for name, stream in streams.items()}


def price(
    table: Table, environments: Mapping[str, Contender], records: Records, size: int, rounds: int
) -> dict[str, Timing]:
    """Let batches of one size be written in each case, another one first in each round.

    Raises AssertionError when the vault did not take as many values as the case says.
    """
    timings = {name: Timing(size) for name in CASES}
    names = list(CASES)
    for number in range(rounds):
        first = number % len(names)
        logins = records.event(size)
        for name in names[first:] + names[:first]:
            case = CASES[name]
            table.reset()
            environments[case.taught_by](case.before(records, logins))()
            environment = environments[case.environment]
            environment(records.event(WARMING_RECORDS))()
            before = table.count_sealed()
            answer = timings[name].take(environment(records.sent_again(logins)))
            new_share = (table.count_sealed() - before) / _values(logins)
            if failures(answer) or abs(new_share - case.new_share) > 0.02:  # some values come in two batches by chance
                raise AssertionError(f"{name}: {new_share:.0%} of the values were new, {len(failures(answer))} failed")
    return timings


def _values(logins: Event) -> int:
    """Return how many different values of the batch can be recovered."""
    bodies = [json.loads(record["body"]) for record in logins["Records"]]
    return sum(len({body[field] for body in bodies}) for field in ("ip", "device_id"))
