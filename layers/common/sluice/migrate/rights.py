"""The roles' rights on the streams' tables: what their work takes, and no more."""

from collections.abc import Mapping

from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Stream
from sluice.migrate import catalogue
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection, identifier, quoted_table

type Rights = dict[str, list[str]]  # by privilege the columns; none: all of the table


def grant(connection: Connection, stream: type[Stream], roles: Mapping[str, Credentials]) -> None:
    """Grant the roles the rights that their work on the stream's table takes, and revoke all others.

    `tables.findings` has told before whether the owner may do that.
    """
    table = quoted_table(stream.table)
    relation = catalogue.look_up(connection, stream)
    schema = stream.table.rpartition(".")[0]
    for role, given in of_stream(stream, relation is not None and relation.is_partitioned).items():
        name = identifier(roles[role].username)
        right = ", ".join(
            f"{privilege} ({', '.join(str(identifier(column)) for column in columns)})" if columns else privilege
            for privilege, columns in given.items()
        )
        if schema:
            connection.run(f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {name}")
        # Both are committed at once. REVOKE takes back the rights on single columns, too.
        connection.run(f"REVOKE ALL ON {table} FROM {name}; GRANT {right} ON {table} TO {name}")


def of_stream(stream: type[Stream], is_partitioned: bool) -> dict[str, Rights]:
    """Return what the work on a stream's table takes, by role."""
    tokens = sorted({place.column for place in stream.token_places})
    texts = sorted({place.column for place in stream.text_places})
    subject = [field.column for field in stream.subject.fields] if stream.subject else []
    mentions = list(stream.mentioned.columns)
    changed = [*dict.fromkeys([*tokens, *texts])]
    found: dict[str, Rights] = {
        # The time may be part of the key of a table that is or will be partitioned.
        "ingest": {
            "INSERT": [],
            "SELECT": [*(OWN_COLUMNS if is_partitioned or stream.partitioning else OWN_COLUMNS[:1])],
        },
        "forget": {"DELETE": [], "SELECT": [*dict.fromkeys([*OWN_COLUMNS, *subject, *tokens, *mentions])]},
        "rekey": {"SELECT": [*dict.fromkeys([*OWN_COLUMNS, *changed])]},
    }
    if mentions:
        found["forget"]["UPDATE"] = mentions
    if changed:
        found["rekey"]["UPDATE"] = changed
    return found
