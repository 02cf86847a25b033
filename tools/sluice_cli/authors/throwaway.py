"""A keyset for one run of a command: its tokens link equal values, and are those of no deployment."""

import secrets

from sluice.pseudonyms.keyset import Keyset


def keyset() -> Keyset:
    """Return a keyset that nobody has seen before or will see again."""
    return Keyset({1: secrets.token_urlsafe(48)}, current=1)
