"""The streams at a glance, again and again: what `sluice status` shows, and the ledger of the last hour."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live

from sluice.aws import clients
from sluice.failures import DeclarationError
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import ledger
from tools.sluice_cli.operators.deployment import Deployment, NotAnswered
from tools.sluice_cli.sqlstates import named

SECONDS = 5  # from one look to the next
LEDGER_SECONDS = 30  # from one call of the audit function to the next: each is paid for

type Streams = Sequence[Mapping[str, Any]]  # as `sluice status --json` tells them


def watch(look: Callable[[], RenderableType]) -> None:
    """Show what `look` returns, again every few seconds until Ctrl-C.

    A terminal shows it in one place. Where the output is none, one is printed below the other.
    """
    screen = terminal.console()
    try:
        if not screen.is_terminal:
            while True:
                screen.print(look())
                time.sleep(SECONDS)
        with Live(look(), console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(SECONDS)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        screen.show_cursor()  # which stays hidden where Ctrl-C comes while the first look is drawn


@dataclass
class Glance:
    """Looks at the streams each time that it is called, and now and then at the ledger.

    A look that fails after a good one is told below what was seen last: an outage is what one watches for.
    """

    deployment: Deployment
    look: Callable[[], Streams]
    shown: Callable[[Streams], RenderableType]
    _seen: Streams = ()
    _ledger: RenderableType = ""
    _asked_at: float | None = None

    def __call__(self) -> RenderableType:
        """Return what is to be shown. The first look may raise `clients.errors()`."""
        failed = []
        try:
            self._seen = self.look()
        except clients.errors() as error:
            if not self._seen:
                raise
            failed = [terminal.cell(f"This is what was seen last. Now AWS says: {error}", "red")]
        if self._asked_at is None or time.monotonic() - self._asked_at >= LEDGER_SECONDS:
            self._asked_at = time.monotonic()
            self._ledger = self._of_ledger()
        note = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, again in {SECONDS} seconds. Ctrl-C ends it."
        return Group(self.shown(self._seen), "", self._ledger, *failed, terminal.cell(note, "dim"))

    def _of_ledger(self) -> RenderableType:
        try:
            sums = {told["stream"]: ledger.last_hour(self.deployment, told["stream"]) for told in self._seen}
        except (NotAnswered, DeclarationError) as error:
            return terminal.cell(named(f"The ledger could not be read: {error}"), "dim")
        names = ledger.told(sums.values())
        table = terminal.table("The last hour, by the ledger", "Stream", *map(ledger.heading, names))
        for stream, counts in sums.items():
            style = "" if ledger.adds_up(counts) else "red"
            table.add_row(*(terminal.cell(text, style) for text in (stream, *(f"{counts[name]:,}" for name in names))))
        return table
