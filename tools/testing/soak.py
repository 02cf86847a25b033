"""The soak test: load and random faults for a while, then a look at where every message ended.

`python -m tools.testing.soak [--seconds 600] [--seed N]` exits with 1 when the checker finds anything. A seed replays
messages, faults and pauses. Which of them meet depends on the machine. In the second half of the time the functions
reach the database through PgBouncer, where that is installed.

`--backlog N` drains a backlog of the deployed stack instead (tools/testing/backlog.py).
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

from rich.console import Console
from rich.table import Table

from tools.testing import backlog, pgbouncer
from tools.testing.faults.aws import Fault, Service
from tools.testing.faults.environment import Environment
from tools.testing.faults.postgres import FaultyPostgres
from tools.testing.faults.proxy import Sender
from tools.testing.faults.queue import Queue
from tools.testing.faults.site import Site, logins, new_id, site
from tools.testing.invariants import Finding

ENVIRONMENTS = 2
BATCH = 100
ROUND = 300  # messages that are sent at once
ROUNDS_PER_SECOND = 1
DUPLICATE_SHARE = 0.02
INVOCATION_SECONDS = 5.0  # of which the function keeps two to answer
PAUSE_AFTER_OUTAGE_SECONDS = 2.0  # the breaker's: what fails is not asked for again at once
COLD_START_SECONDS = 2.0  # until a new environment needs a service
DRAIN_SECONDS = 120
SHOWN = 20  # findings

console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description="Load with random faults; nothing may be lost.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--backlog", type=int, metavar="N", help="drain N messages with the deployed stack instead")
    arguments = parser.parse_args()
    if arguments.backlog is not None and arguments.backlog < backlog.LEAST:
        parser.error(f"--backlog takes {backlog.LEAST:,} messages or more: the outage comes in the middle of them")
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    if arguments.backlog:
        console.print(f"Seed {arguments.seed}, a backlog of {arguments.backlog:,} messages")
        findings = backlog.main(arguments.backlog, arguments.seed)
    else:
        console.print(f"Seed {arguments.seed}, {arguments.seconds:.0f} seconds")
        findings = faults_for(arguments.seconds, arguments.seed)
    for finding in findings[:SHOWN]:
        console.print(f"[red]✗[/] {finding}")
    if findings:
        console.print(f"{len(findings):,} findings; again with --seed {arguments.seed}")
        return 1
    console.print("[green]✓[/] Every valid message is one row, every invalid one a dead letter, and nothing leaked.")
    return 0


def faults_for(seconds: float, seed: int) -> list[Finding]:
    """Run the soak, print what came of it, and return the findings."""
    if not pgbouncer.is_installed():
        console.print("There is no PgBouncer (make pgbouncer installs it): all goes straight to PostgreSQL.")
    with running_site() as here:
        soak = Soak(here, seed)
        soak.run(seconds)
        show(soak)
        return here.check(soak.queue)


@contextmanager
def running_site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="sluice-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another user where we are root
        postgres = FaultyPostgres(folder / "postgres")
        try:
            postgres.start()
            with site(postgres, "soak", folder) as here:
                yield here
        finally:
            postgres.stop()


@dataclass
class Soak:
    """Senders, execution environments and faults, all at the same time."""

    here: Site
    seed: int
    queue: Queue = field(default_factory=Queue)
    faults: Counter[str] = field(default_factory=Counter)
    running: list[Environment] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)  # of the soak itself
    _over: Event = field(default_factory=Event)
    _sent_all: Event = field(default_factory=Event)

    def run(self, seconds: float) -> None:
        """Send for so long, with faults, then let all that is left be dealt with. Raises TimeoutError if it is not."""
        workers = [self._thread(self._work) for _ in range(ENVIRONMENTS)]
        others = [self._thread(self._send), self._thread(self._break)]
        self._over.wait(seconds / 2)
        if pgbouncer.is_installed():
            self.here.lead_through_pooler()
        self._over.wait(seconds / 2)
        self._over.set()
        for thread in others:
            thread.join(60)
        self._sent_all.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        for thread in workers:
            thread.join(max(0, deadline - time.monotonic()))
        if self.crashes or any(thread.is_alive() for thread in (*workers, *others)):
            raise TimeoutError(f"not drained: {self.crashes}")

    def _thread(self, work: Callable[[], None]) -> Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 (of whatever kind, it must not go unnoticed)
                self.crashes.append(f"{type(error).__name__} in {work.__name__}: {error}")

        thread = Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _send(self) -> None:
        """Send good messages, junk, and some again: with the same id, or with another one and the id as attribute."""
        source = random.Random(f"{self.seed} messages")
        while not self._over.is_set():
            made = logins(ROUND, source.randrange(2**32), junk=True)
            again = [message for message in made if message.valid and source.random() < DUPLICATE_SHARE]
            attributes = [
                {"sluice_message_id": message.message_id, "sluice_sent_at": str(message.sent_at_milliseconds)}
                for message in again
            ]
            copies = [
                replace(message, message_id=new_id(source), attributes=own)
                for message, own in zip(again, attributes, strict=True)
            ]
            self.queue.send([*made, *copies])
            self._over.wait(1 / ROUNDS_PER_SECOND)

    def _work(self) -> None:
        """Be an event source mapping with one environment, which is replaced when it ends."""
        environment = self.here.environment()
        self.running.append(environment)
        while True:
            failed = len(self.queue.failures)
            is_busy = self.queue.deliver(partial(environment.invoke, seconds=INVOCATION_SECONDS), BATCH)
            if not is_busy:
                if self._sent_all.is_set():
                    return
                self._sent_all.wait(0.05)
            if not environment.runs:
                self.running.remove(environment)
                environment.close()
                environment = self.here.environment()
                self.running.append(environment)
            elif len(self.queue.failures) > failed:
                time.sleep(PAUSE_AFTER_OUTAGE_SECONDS)

    def _break(self) -> None:
        """Break something, heal it, wait, and so on."""
        source = random.Random(f"{self.seed} faults")
        faults: list[Callable[[float], None]] = [
            self.function_killed,
            self.sessions_terminated,
            self.server_killed,
            self.server_restarted,
            self.server_frozen,
            self.read_only,
            self.table_locked,
            self.connections_reset,
            self.reset_at_commit,
            self.black_hole,
            self.latency,
            self.one_byte_at_a_time,
            self.secrets_down,
            self.kms_throttled,
            self.sqs_down,
            self.pooler_restarted,
        ]
        while not self._over.wait(source.uniform(0.5, 2)):
            fault, seconds = source.choice(faults), source.uniform(0.2, 2)
            self.faults[fault.__name__.replace("_", " ")] += 1
            fault(seconds)

    def function_killed(self, seconds: float) -> None:
        time.sleep(seconds)
        for environment in self.running[:1]:
            environment.kill()

    def sessions_terminated(self, seconds: float) -> None:
        self.here.disconnect_all()

    def server_killed(self, seconds: float) -> None:
        self.here.postgres.kill()
        time.sleep(seconds)
        self.here.postgres.start_again()

    def server_restarted(self, seconds: float) -> None:
        self.here.postgres.restart()

    def server_frozen(self, seconds: float) -> None:
        self.here.postgres.freeze()
        time.sleep(seconds)
        self.here.postgres.thaw()

    def read_only(self, seconds: float) -> None:
        name = self.here.database
        self.here.sql(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
        self.here.disconnect_all()
        time.sleep(seconds)
        self.here.sql(f"BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT")
        self.here.disconnect_all()

    def table_locked(self, seconds: float) -> None:
        with self.here.connect() as other:
            other.run("BEGIN; LOCK TABLE user_logins")
            time.sleep(2 * seconds)

    def connections_reset(self, seconds: float) -> None:
        self.here.way.cut_all()

    def reset_at_commit(self, seconds: float) -> None:
        halt = self.here.way.halt_at(b"COMMIT\0", Sender.SERVER)
        time.sleep(seconds)
        halt.cut()

    def black_hole(self, seconds: float) -> None:
        self.here.way.is_black_hole = True
        time.sleep(seconds)
        self.here.way.is_black_hole = False
        self.here.way.cut_all()

    def latency(self, seconds: float) -> None:
        self.here.way.latency_seconds = 0.1
        time.sleep(seconds)
        self.here.way.latency_seconds = 0

    def one_byte_at_a_time(self, seconds: float) -> None:
        self.here.way.one_byte_at_a_time = True
        time.sleep(seconds)
        self.here.way.one_byte_at_a_time = False

    def secrets_down(self, seconds: float) -> None:
        self._aws(Service.SECRETS_MANAGER, Fault.DOWN, seconds)

    def kms_throttled(self, seconds: float) -> None:
        self._aws(Service.KMS, Fault.THROTTLED, seconds)

    def sqs_down(self, seconds: float) -> None:
        self._aws(Service.SQS, Fault.DOWN, seconds)

    def pooler_restarted(self, seconds: float) -> None:
        """In the half of the time in which there is one."""
        if self.here.pooler.runs:
            self.here.pooler.stop()
            time.sleep(seconds)
            self.here.pooler.start()

    def _aws(self, service: Service, fault: Fault, seconds: float) -> None:
        """Break a service, and have a cold environment need it."""
        self.here.aws.breaks(service, fault)
        self.function_killed(0)
        time.sleep(COLD_START_SECONDS + seconds)
        self.here.aws.heals()


def show(soak: Soak) -> None:
    queue = soak.queue
    table = Table("Fault", "Times", title="What was broken", title_justify="left")
    for name, times in sorted(soak.faults.items()):
        table.add_row(name, str(times))
    console.print(table)
    table = Table("Batch failed because", "Times", title="What came of it", title_justify="left")
    for name, times in Counter(queue.failures).most_common():
        table.add_row(name, str(times))
    console.print(table)
    most = max((queue.receives[message.message_id] for message in queue.sent if message.valid), default=0)
    console.print(f"{len(queue.sent):,} messages sent, {len(queue.dead):,} dead letters.")
    console.print(f"A valid message was received {most} times at most.")


if __name__ == "__main__":
    sys.exit(main())
