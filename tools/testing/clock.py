"""A clock that stands still unless somebody sleeps."""

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Stands for the module `time`."""

    now: float = field(default_factory=time.time)
    pauses: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds:
            self.pauses.append(round(seconds, 3))
