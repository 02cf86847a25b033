"""The secret that holds the keyset: read, remembered for five minutes, replaced."""

import time
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from sluice.aws import secrets
from sluice.pseudonyms.keyset import Keyset

KEYSET_SECONDS = 300  # a new current token key is in use everywhere five minutes later
# An environment that read the keyset just before it changed makes tokens under the older token key for so long, and for
# one batch more (60 s). The rest is for clocks that differ.
SETTLING = timedelta(seconds=2 * KEYSET_SECONDS)


class KeysetVersion(NamedTuple):
    """The keyset, and since when it is this one: others may use the one before for KEYSET_SECONDS more."""

    keyset: Keyset
    created_at: datetime  # UTC, by the clock of AWS

    @property
    def settled_at(self) -> datetime:
        """From when on nobody works with the one before."""
        return self.created_at + SETTLING


def recent(secret_id: str) -> Keyset:
    """Return the keyset, read at most every five minutes. Raises Outage when it cannot be read, or is no keyset."""
    return _recent(secret_id, period=int(time.time() // KEYSET_SECONDS))


def forget() -> None:
    """Have `recent` read the secret again with the next batch: the keyset that it remembers may be the wrong one."""
    _recent.cache_clear()


def newest(secret_id: str) -> Keyset:
    """Read the keyset now: one who looks for tokens must know every token key under which others make them."""
    return Keyset.parse(secrets.read(secret_id))


def version(secret_id: str) -> KeysetVersion:
    """Read the keyset now, and since when it is this one. Raises Outage when it cannot be read, or is no keyset."""
    secret = secrets.version(secret_id)
    return KeysetVersion(Keyset.parse(secret.text), secret.created_at)


def put(secret_id: str, keyset: Keyset) -> None:
    """Replace the keyset. Raises Outage when it cannot be."""
    members = {"current": keyset.current} | {str(number): key for number, key in sorted(keyset.keys.items())}
    secrets.write(secret_id, msgspec.json.encode(members).decode())


@lru_cache(maxsize=1)
def _recent(secret_id: str, period: int) -> Keyset:
    return newest(secret_id)
