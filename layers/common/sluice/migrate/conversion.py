"""The conversion of a table to one with partitions, as far as a deployment goes.

An empty table is converted at once. A table with rows keeps its primary key, gets the unique index that partitions need
beside it, and works as before. `sluice.maintain` does the rest, once the functions that write to it are new.
"""

from functools import partial
from typing import Any

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage
from sluice.migrate import catalogue, partitions
from sluice.migrate.partitions import Partitioned
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection, identifier
from sluice.telemetry import logger

KEY_SUFFIX = "_message_id_sent_at"
LONGEST_NAME = 63  # bytes; tables of streams have ASCII names nearly always, and others are cut by PostgreSQL


def convert_empty(connection: Connection) -> None:
    """Give the declared tables that hold no row their partitions, in this transaction."""
    # Two streams can have one table, which is converted once.
    plain = {one.relation: one for one in partitions.declared(connection) if not one.is_converted}
    for partitioned in plain.values():
        if connection.run(f"SELECT FROM {partitioned.relation} LIMIT 1"):
            continue
        connection.run(f"LOCK TABLE {partitioned.relation}")
        if not connection.run(f"SELECT FROM {partitioned.relation} LIMIT 1"):
            connection.run(f"CREATE UNIQUE INDEX ON {partitioned.relation} (message_id, sent_at)")
            connection.run("SELECT finish_conversion(:name, 'infinity')", name=partitioned.stream)


def obstacles(connection: Connection, stream: type[Stream]) -> list[str]:
    """Return what keeps the stream's table from being converted: a sentence each, which says what to do."""
    relation = catalogue.look_up(connection, stream)
    known: Any = connection.run("SELECT to_regprocedure('conversion_obstacles(regclass)') IS NOT NULL")
    if stream.partitioning is None or relation is None or relation.is_partitioned or not known[0][0]:
        return []
    rows: Any = connection.run("SELECT conversion_obstacles(CAST(:oid AS oid)::regclass)", oid=relation.oid)
    return [
        f"the table {stream.table} gets partitions, and {what} would stay with the old one; drop it, and make it again"
        " once the table has them"
        for (what,) in rows
    ]


def build_keys(database: Database, deadline: Deadline) -> None:
    """Have the missing unique indexes built that the partitions need; nobody waits for that meanwhile.

    After the deadline the server goes on alone. No deployment waits for it: the maintenance converts the table later.
    """
    for partitioned in database.transact(partitions.declared, deadline):
        if not partitioned.is_converted and database.transact(partial(_lacks_key, partitioned=partitioned), deadline):
            name = identifier(_key_name(partitioned))
            statement = f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {partitioned.relation} (message_id, sent_at)"
            try:
                database.run_alone(statement, deadline)
            except Outage as outage:
                logger.warning("key not built yet", stream=partitioned.stream, why=str(outage))


def _lacks_key(connection: Connection, partitioned: Partitioned) -> bool:
    """Tell whether the key must be built. What an interrupted build has left is dropped."""
    rows: Any = connection.run(
        "SELECT index::text, is_valid, EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = index)"
        " FROM partition_keys(CAST(:relation AS regclass))",
        relation=partitioned.relation,
    )
    for index, is_valid, is_being_built in rows:
        if is_valid or is_being_built:
            return False
        connection.run(f"DROP INDEX {index}")
    return True


def _key_name(partitioned: Partitioned) -> str:
    table = partitioned.relation.rpartition(".")[2].strip('"')
    return table[: LONGEST_NAME - len(KEY_SUFFIX)] + KEY_SUFFIX
