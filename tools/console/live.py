"""What is shown as it changes: looked at once for all who look, and not at all while nobody does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

KEPT_ALIVE_SECONDS = 15  # without a change, so that a connection that is gone is noticed


@dataclass
class Live[T]:
    """Something that is looked at every few seconds, for as long as somebody wants to see it."""

    look: Callable[[], T]
    seconds: float
    closing: asyncio.Event
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: T | None = None
    _seen_at: float = float("-inf")

    def forget(self) -> None:
        """Have the next who wants it look anew, since something was changed."""
        self._seen_at = float("-inf")

    async def now(self) -> T:
        """Return what it is now, or was a moment ago for somebody else."""
        async with self._lock:
            if self._seen is None or time.monotonic() - self._seen_at > 0.9 * self.seconds:
                self._seen = await run_in_threadpool(self.look)
                self._seen_at = time.monotonic()
            return self._seen

    async def texts(self, shown: Callable[[T], str]) -> AsyncIterator[str]:
        """Yield server-sent events with what is shown of it, one for each change."""
        before, sent_at = "", time.monotonic()
        while not self.closing.is_set():
            text = shown(await self.now())
            if text != before:
                before, sent_at = text, time.monotonic()
                yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
            elif time.monotonic() - sent_at > KEPT_ALIVE_SECONDS:
                sent_at = time.monotonic()
                yield ": nothing has changed\n\n"
            try:
                await asyncio.wait_for(self.closing.wait(), self.seconds)
            except TimeoutError:
                continue

    def stream(self, shown: Callable[[T], str]) -> StreamingResponse:
        """Return the answer that goes on for as long as the page is open."""
        return StreamingResponse(self.texts(shown), media_type="text/event-stream")
