"""An empty database on a server of its own, for one run of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sluice.postgres.credentials import Credentials
from tools.sluice_cli.databases import GivenDatabase


@contextmanager
def database() -> Iterator[GivenDatabase]:
    """Yield an empty database on a server of its own. Raises NotStarted."""
    from tools.local.postgres import Postgres  # the embedded server is for these commands alone

    with TemporaryDirectory(prefix="sluice-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where we are root
        server = Postgres(Path(folder, "postgres"))
        try:
            server.start()
            made = GivenDatabase(
                server.host, server.port, server.database, Credentials(server.user, server.password), "sluice-check"
            )
            try:
                yield made
            finally:
                made.close()
        finally:
            server.stop()
