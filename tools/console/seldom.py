"""What is not asked for at each look, since each call is paid for."""

import time
from collections.abc import Callable

from tools.console.site import Unavailable


class Seldom[T]:
    """Something that is asked for at most every few seconds; meanwhile its last answer holds, or its last refusal."""

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asked_at = float("-inf")
        self._answer: T | Unavailable

    def __call__(self) -> T:
        """Return the answer. Raises Unavailable."""
        if time.monotonic() - self._asked_at > self._seconds:
            self._asked_at = time.monotonic()
            try:
                self._answer = self._ask()
            except Unavailable as error:
                self._answer = error
        if isinstance(self._answer, Unavailable):
            raise Unavailable(str(self._answer))
        return self._answer
