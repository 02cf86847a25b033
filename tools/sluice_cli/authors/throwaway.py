"""What lives for one run of a command: a keyset and a PostgreSQL, which are those of no deployment."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sluice.deadline import Deadline
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database, outage
from sluice.postgres.driver import Connection, DatabaseError
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import ROLES, DatabaseSettings


def keyset() -> Keyset:
    """Return a keyset that nobody has seen before or will see again. Its tokens link equal values."""
    return Keyset({1: secrets.token_urlsafe(48)}, current=1)


def roles() -> dict[str, Credentials]:
    """Return logins for the functions' roles."""
    return {name: Credentials(f"sluice-{name}", secrets.token_urlsafe(24)) for name in ROLES}


class GivenDatabase(Database):
    """A database whose password is known, so that no secret is read."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        credentials: Credentials,
        tls: str = "disable",
        certificate_authority: Path | None = None,
    ) -> None:
        where = DatabaseSettings(
            host=host,
            port=port,
            name=name,
            secret_id="",  # nosec B106  # there is no secret
            username="",
            tls=tls,
            certificate_authority=certificate_authority,
        )
        super().__init__(where, application_name="sluice-check")
        self._credentials = credentials

    def _open(self, credentials: Credentials, deadline: Deadline) -> Connection:
        try:
            return super()._open(credentials, deadline)
        except DatabaseError as error:
            raise outage(error) from None  # a login that is not accepted has no secret that could be read again


@contextmanager
def database() -> Iterator[GivenDatabase]:
    """Yield an empty database on a server of its own. Raises NotStarted."""
    from tools.local.postgres import Postgres  # the embedded server is for these commands alone

    with TemporaryDirectory(prefix="sluice-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where we are root
        server = Postgres(Path(folder, "postgres"))
        try:
            server.start()
            made = GivenDatabase(server.host, server.port, server.database, Credentials(server.user, server.password))
            try:
                yield made
            finally:
                made.close()
        finally:
            server.stop()
