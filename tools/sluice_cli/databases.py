"""A database that the command line names by its URL."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from sluice.deadline import Deadline
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database, outage
from sluice.postgres.driver import Connection, DatabaseError
from sluice.settings import DatabaseSettings
from tools.sluice_cli import terminal

URL = "postgresql://user@host:5432/name. A password that is not in it is read from PGPASSWORD."
LOCAL = ("localhost", "127.0.0.1", "::1")  # where nobody sets up TLS


class GivenDatabase(Database):
    """A database whose password is known, so that no secret is read."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        credentials: Credentials,
        application_name: str,
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
        super().__init__(where, application_name)
        self.settings = where
        self._credentials = credentials

    def _open(self, credentials: Credentials, deadline: Deadline) -> Connection:
        try:
            return super()._open(credentials, deadline)
        except DatabaseError as error:
            raise outage(error) from None  # a login that is not accepted has no secret that could be read again


def given(url: str, application_name: str) -> GivenDatabase:
    """Return the database of a URL. A bad one ends the command, and is not told: it may hold a password.

    TLS is verified as the functions do it, unless the URL says `sslmode=disable` or the server is on this machine.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        port, name, user = parts.port or 5432, unquote(parts.path[1:]), unquote(parts.username or "")
    except ValueError:
        terminal.fail("--database: is no URL", terminal.USAGE)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not name or not user:
        terminal.fail("--database: must be postgresql://user:password@host:port/name", terminal.USAGE)
    tls = options.pop("sslmode", "disable" if parts.hostname in LOCAL else "verify-full")
    authority = options.pop("sslrootcert", None)
    if options or tls not in ("disable", "verify-full"):
        terminal.fail("--database: takes sslmode=verify-full or disable, and sslrootcert=FILE", terminal.USAGE)
    password = unquote(parts.password) if parts.password is not None else os.environ.get("PGPASSWORD", "")
    path = Path(authority) if authority else None
    return GivenDatabase(parts.hostname, port, name, Credentials(user, password), application_name, tls, path)
