"""The conversion of a table with rows to one with partitions, while batches are written to it.

The old table becomes the first partition. It takes all rows until a boundary that lies ahead. First a constraint says
that no row is newer than the boundary, and PostgreSQL looks whether that is true. That takes long, and blocks nobody.
Then the new table takes the name in one short transaction.
"""

from datetime import datetime, timedelta
from typing import Any

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import partitions
from sluice.migrate.partitions import Partitioned
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection

# A message can be dated a day ahead, and the next run, which moves the boundary, is a day off.
MARGIN = timedelta(days=8)


def convert(database: Database, partitioned: Partitioned, deadline: Deadline) -> None:
    """Convert a stream's table. An interrupted conversion begins anew. Raises Outage if others hold it too long."""
    boundary = database.transact(lambda connection: _boundary(connection, partitioned), deadline)
    try:
        for step, parameters in (
            ("begin_conversion(:name, :boundary)", {"boundary": boundary}),
            ("check_conversion(:name)", {}),
            ("finish_conversion(:name, :boundary)", {"boundary": boundary}),
        ):
            _call(database, step, partitioned, deadline, **parameters)
    except Outage:
        _call(database, "undo_conversion(:name)", partitioned, deadline)
        raise


def has_key(connection: Connection, partitioned: Partitioned) -> bool:
    """Tell whether the table has the key that its partitions need: a deployment builds it."""
    rows: Any = connection.run(
        "SELECT EXISTS (SELECT FROM partition_keys(CAST(:relation AS regclass)) WHERE is_valid)",
        relation=partitioned.relation,
    )
    return bool(rows[0][0])


def _boundary(connection: Connection, partitioned: Partitioned) -> datetime:
    """Return when the first partition ends: with the unit (day, month or year) in which the margin ends."""
    return partitions.end(partitions.moment(connection) + MARGIN, partitioned.partitioning.unit)


def _call(database: Database, step: str, partitioned: Partitioned, deadline: Deadline, **parameters: object) -> None:
    database.transact(
        lambda connection: connection.run(f"SELECT {step}", name=partitioned.stream, **parameters), deadline
    )
