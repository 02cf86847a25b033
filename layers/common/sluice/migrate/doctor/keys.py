"""The keyset against what the database remembers of its keys."""

from collections.abc import Iterator
from typing import Any

from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values

AREA = "keyset"


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Compare the keyset with the check values. Raises Outage when it is not the one that the database knows."""
    if subject.keyset is not None:
        check_values.check_whole(connection, subject.keyset)
        yield Finding(AREA, "good", f"the database knows all of its keys: {len(subject.keyset.keys)}")
        return
    rows: Any = connection.run("SELECT to_regclass('token_key') IS NOT NULL")
    known: Any = connection.run("SELECT number FROM token_key ORDER BY number") if rows[0][0] else []
    if known:
        numbers = ", ".join(str(number) for (number,) in known)
        yield Finding(
            AREA,
            "unknown",
            f"The database knows the token keys {numbers}, and the keyset was not at hand to compare.",
            advice="Once anything is stored, a stack of this database must have that keyset: with another it fails.",
        )
    else:
        yield Finding(AREA, "good", "the database knows no key yet")
