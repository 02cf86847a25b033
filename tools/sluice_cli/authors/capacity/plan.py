"""The plan: the batches that a load makes, and what must be set for them.

What is measured stands in docs/benchmark.json, on a machine that is not Lambda. What AWS documents has its source
beside it. What is assumed says so.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from tools.project import PROJECT

BENCHMARK = PROJECT / "docs" / "benchmark.json"
MEMORY_MB = 1024  # the ingest function's MemorySize
MB_OF_A_CORE = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS = 5  # that read a queue from the start, and go on while it is empty
LOWEST_CONCURRENCY, HIGHEST_CONCURRENCY = 2, 1000
ACCOUNT_CONCURRENCY = 1000  # of a region, unless it is raised; a new account has less
# Of a poller in provisioned mode, 10 calls a second for 10 messages each. Of the template's mode AWS does not say it.
MESSAGES_OF_A_POLLER = 100
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
PAYLOAD_BYTES = 6 * 1024 * 1024  # of an invocation
ENVELOPE_BYTES = 1000  # assumed: ids, receipt handle and attributes of a message in the event
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
IN_FLIGHT = 120_000
SPARE = 2  # assumed: a batch with duplicates or in a new environment takes longer


@dataclass(frozen=True)
class Load:
    """What comes in, spread evenly over the streams and the month, and how each stream's queue is read."""

    records_per_second: float
    batch_size: int = 1000
    window_seconds: float = 1
    record_bytes: int = 1000
    streams: int = 1
    zones: int = 0  # of availability, with endpoints in each; none for functions outside of a VPC


@dataclass(frozen=True)
class Measured:
    """How long Sluice took for a batch on the benchmark's machine, by its records, and its own CPU time in that."""

    milliseconds: Mapping[int, float]
    cpu_milliseconds: Mapping[int, float]

    @classmethod
    def read(cls) -> "Measured":
        """Return what docs/benchmark.json has."""
        return cls.of(json.loads(BENCHMARK.read_text()))

    @classmethod
    def of(cls, benchmark: Mapping[str, Any]) -> "Measured":
        sluice = {int(size): contenders["sluice"] for size, contenders in benchmark["race"].items()}
        return cls(
            {size: one["median_ms"] for size, one in sluice.items()},
            {size: size * one["cpu_us_per_record"] / 1000 for size, one in sluice.items()},
        )

    def waiting(self, records: float) -> float:
        """Return the milliseconds in which the function waits for PostgreSQL."""
        return max(0.0, at(self.milliseconds, records) - at(self.cpu_milliseconds, records))

    def on_lambda(self, records: float) -> float:
        """Return the milliseconds of a batch on Lambda's share of a core, were its cores as fast as the benchmark's."""
        return self.waiting(records) + at(self.cpu_milliseconds, records) * MB_OF_A_CORE / MEMORY_MB


@dataclass(frozen=True)
class Plan:
    """What a load makes of each stream, and what must be set."""

    load: Load
    measured: Measured

    @property
    def rate(self) -> float:
        """Records a second of one stream."""
        return self.load.records_per_second / self.load.streams

    @property
    def largest_batch(self) -> int:
        """The records of the largest batch that a stream can have."""
        of_payload = PAYLOAD_BYTES // (self.load.record_bytes + ENVELOPE_BYTES)
        return max(1, min(self.load.batch_size, of_payload))

    @cached_property
    def batch(self) -> float:
        """The records of a batch: the first one, and what comes to the same poller while the window is open."""
        if not self.rate:
            return 0
        return min(self.largest_batch, 1 + self.rate * self.load.window_seconds / POLLERS)

    @property
    def batches_per_second(self) -> float:
        """Batches a second of one stream."""
        return self.rate / self.batch if self.rate else 0

    @property
    def batch_milliseconds(self) -> float:
        return self.measured.on_lambda(self.batch) if self.rate else 0

    @property
    def busy(self) -> float:
        """Batches of one stream that run at a time."""
        return self.batches_per_second * self.batch_milliseconds / 1000

    @property
    def environments(self) -> int:
        """Execution environments of one stream."""
        return ceil(SPARE * self.busy)

    @property
    def concurrency(self) -> int:
        """The stream's Concurrency: enough to write, and to receive if a poller does no more than a provisioned one."""
        return max(LOWEST_CONCURRENCY, self.environments, ceil(self.rate / MESSAGES_OF_A_POLLER))

    @property
    def connections(self) -> int:
        """Connections of all streams at most; twice as many while a deployment replaces environments."""
        return self.load.streams * self.concurrency

    @property
    def busy_backends(self) -> float:
        """Backends of PostgreSQL that work at a time, if the function waits for nothing else."""
        milliseconds = self.measured.waiting(self.batch) if self.rate else 0
        return self.load.streams * self.batches_per_second * milliseconds / 1000

    @property
    def limits(self) -> Sequence[str]:
        """What stands in the way of this load, a sentence each."""
        found = []
        if self.load.batch_size > self.largest_batch:
            found.append(
                f"A batch has at most {self.largest_batch:,} records of {self.load.record_bytes:,} bytes:"
                " an invocation takes 6 MB."
            )
        if self.concurrency > HIGHEST_CONCURRENCY:
            found.append(
                f"Concurrency is at most {HIGHEST_CONCURRENCY:,}: spread the records over more streams,"
                " or read the queue in provisioned mode."
            )
        if self.connections > ACCOUNT_CONCURRENCY:
            found.append(
                f"An account runs {ACCOUNT_CONCURRENCY:,} invocations at a time in a region: have the quota raised."
            )
        if self.concurrency * self.largest_batch > IN_FLIGHT:
            found.append(
                f"Concurrency × BatchSize is more than the {IN_FLIGHT:,} messages that a queue lets be in flight:"
                " Lambda receives none beyond them."
            )
        if self.busy_backends > 1:
            found.append(
                f"PostgreSQL is at work on {self.busy_backends:.1f} batches at a time, with a table of 10,000 rows;"
                " a large table takes several times as long."
            )
        return found


def at(measured: Mapping[int, float], records: float) -> float:
    """Return the measure for so many records: on the line between its neighbours, or beyond the last two."""
    sizes = sorted(measured)
    upper = next((number for number, size in enumerate(sizes) if size >= records), len(sizes) - 1)
    low, high = sizes[max(0, upper - 1)], sizes[max(1, upper)]
    return measured[low] + (measured[high] - measured[low]) * (records - low) / (high - low)
