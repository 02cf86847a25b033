"""The console's own login to the embedded PostgreSQL: it reads streams and ledger, and changes nothing."""

from hmac import digest

from pg8000.native import Connection

from sluice.declaration import registry
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import identifier, literal, quoted_table
from tools.local.stack import Stack
from tools.sluice_cli.databases import GivenDatabase

ROLE = "sluice_console"
APPLICATION = "sluice-console"
READ = ("batch", "declaration", "rejection")
COLUMNS_READ = {"pii_vault": ("token", "domain")}  # whether a token can be recovered; never what is sealed under it


def database(stack: Stack) -> GivenDatabase:
    """Make the login, or give it its rights on streams that are new, and return the database as it is seen with it."""
    # The same each time, so that two consoles of one stack do not lock each other out.
    password = digest(stack.postgres.password.encode(), ROLE.encode(), "sha256").hex()
    with stack.connect() as owner:
        _make(owner, password)
        tables = [stream.table for stream in registry.load_all()]
        for table in (*READ, *tables):
            if owner.run("SELECT to_regclass(:name)", name=quoted_table(table))[0][0] is not None:
                owner.run(f"GRANT SELECT ON {quoted_table(table)} TO {ROLE}")
        for table, columns in COLUMNS_READ.items():
            owner.run(f"GRANT SELECT ({', '.join(columns)}) ON {table} TO {ROLE}")
    host, port, name = stack.postgres.host, stack.postgres.port, stack.postgres.database
    return GivenDatabase(host, port, name, Credentials(ROLE, password), APPLICATION)


def _make(owner: Connection, password: str) -> None:
    if not owner.run("SELECT FROM pg_roles WHERE rolname = :name", name=ROLE):
        owner.run(f"CREATE ROLE {identifier(ROLE)} NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT")
    owner.run(f"ALTER ROLE {identifier(ROLE)} LOGIN PASSWORD {literal(password)}")
