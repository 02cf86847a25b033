"""A keyset and logins for one run of a command, which are those of no deployment."""

import secrets

from sluice.postgres.credentials import Credentials
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import ROLES


def keyset() -> Keyset:
    """Return a keyset that nobody has seen before or will see again. Its tokens link equal values."""
    return Keyset({1: secrets.token_urlsafe(48)}, current=1)


def roles() -> dict[str, Credentials]:
    """Return logins for the functions' roles."""
    return {name: Credentials(f"sluice-{name}", secrets.token_urlsafe(24)) for name in ROLES}
