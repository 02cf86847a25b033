"""What the console does for a while: send, stop the database, lock a table. The page tells of it, and can stop it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock, Thread

from tools.console.site import Unavailable
from tools.sluice_cli.terminal import complain, unforeseen

KEPT = 4  # jobs that are over and still told
ENDING_SECONDS = 60.0  # for each job to undo what it did: to start PostgreSQL again takes the longest


@dataclass
class Job:
    """Something that goes on in a thread of its own."""

    number: int
    name: str
    told: str = "begins"
    failed: bool = False
    is_over: bool = False
    stopping: Event = field(default_factory=Event)
    _thread: Thread | None = None

    @property
    def kind(self) -> str:
        """How it goes, as a class of the page."""
        return "bad" if self.failed else "good" if self.is_over else "warn"

    def start(self, work: Callable[["Job"], None]) -> None:
        self._thread = Thread(target=self._run, args=(work,), name=self.name)
        self._thread.start()

    def end(self) -> None:
        """Have it stop, and wait until it has undone what it did."""
        self.stopping.set()
        if self._thread:
            self._thread.join(ENDING_SECONDS)

    def seconds(self, total: int) -> Iterator[int]:
        """Yield how many seconds are left, each second, until they are over or the job is to stop."""
        for left in range(total, 0, -1):
            yield left
            if self.stopping.wait(1):
                return

    def _run(self, work: Callable[["Job"], None]) -> None:
        try:
            work(self)
        except Unavailable as error:
            self.told, self.failed = str(error), True
        except Exception as error:  # noqa: BLE001 (its text may quote a record)
            self.told, self.failed = unforeseen(error), True
            complain(self.told)
        finally:
            self.is_over = True


class Busy(Exception):
    """What was asked for goes on already."""


class Jobs:
    """All that goes on, and the last of what is over."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._jobs: dict[int, Job] = {}
        self._lock = Lock()

    def start(self, name: str, work: Callable[[Job], None], alone: bool = False) -> Job:
        """Begin a job. Raises Busy if it must be alone and one of its name goes on."""
        with self._lock:
            if alone and any(job.name == name and not job.is_over for job in self._jobs.values()):
                raise Busy(name)
            job = Job(next(self._numbers), name)
            self._jobs[job.number] = job
            over = [number for number, one in self._jobs.items() if one.is_over]
            for number in over[:-KEPT]:
                del self._jobs[number]
            job.start(work)
            return job

    def stop(self, number: int) -> None:
        """Have a job stop; it takes a moment."""
        if number in self._jobs:
            self._jobs[number].stopping.set()

    def get(self, number: int) -> Job | None:
        """Return a job, unless it is over for so long that it is forgotten."""
        return self._jobs.get(number)

    def all(self) -> list[Job]:
        """Return them, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def end(self) -> None:
        """Have all of them stop, and wait until what they did is undone."""
        for job in self.all():
            job.stopping.set()
        for job in self.all():
            job.end()
