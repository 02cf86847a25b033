"""Check values: what the database remembers of each token key, to tell whether a keyset is still the same."""

from sluice.failures import Outage
from sluice.postgres.driver import Connection
from sluice.pseudonyms.keyset import Keyset


def check(connection: Connection, keyset: Keyset) -> None:
    """Compare every token key with what the database remembers of it.

    Raises Outage when one is not the same, or not known: tokens under another token key would silently match nothing.
    """
    remembered = _remembered(connection)
    for number, check_value in keyset.check_values.items():
        if number > keyset.current:
            continue  # it is being taken into use
        if remembered.get(number) != check_value:
            known = (
                "is not the key that this database knows" if number in remembered else "is not known to this database"
            )
            raise Outage(f"keyset: key {number} {known}")


def check_whole(connection: Connection, keyset: Keyset) -> None:
    """Compare a keyset that was read just now. It must have every token key that the database remembers, in use or not.

    Raises Outage when a token key is missing or another one: the tokens that it has made would be lost with it.
    """
    check(connection, keyset)
    for number in missing(connection, keyset):
        raise Outage(f"keyset: key {number} is missing; restore the keyset")
    for number in changed(connection, keyset):
        raise Outage(f"keyset: key {number} is not the key that this database knows")


def missing(connection: Connection, keyset: Keyset) -> list[int]:
    """Return the numbers of the token keys that the database remembers and the keyset lacks."""
    return sorted(set(_remembered(connection)) - set(keyset.check_values))


def changed(connection: Connection, keyset: Keyset) -> list[int]:
    """Return the numbers of the token keys of which the database remembers another check value."""
    remembered = _remembered(connection)
    return [number for number, value in keyset.check_values.items() if remembered.get(number, value) != value]


def remember(connection: Connection, keyset: Keyset) -> None:
    """Store the check value of every token key that is new to the database."""
    for number, check_value in keyset.check_values.items():
        connection.run(
            "INSERT INTO token_key (number, check_value) VALUES (:number, :check_value) ON CONFLICT DO NOTHING",
            number=number,
            check_value=check_value,
        )


def forget(connection: Connection) -> None:
    """Forget every token key: those that made no token."""
    connection.run("DELETE FROM token_key")


def _remembered(connection: Connection) -> dict[int, bytes]:
    return dict(connection.run("SELECT number, check_value FROM token_key") or [])
