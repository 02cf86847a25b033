"""The streams' tables: each compared with its declaration."""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.declaration import column_types
from sluice.declaration.column_types import TEXTS, Choices, Column
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.partitioning import BY_TIME
from sluice.declaration.stream import Stream
from sluice.migrate import catalogue
from sluice.migrate.catalogue import PARTITIONED, Found, Relation
from sluice.postgres.cells import array_cell
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection, DatabaseError, literal

KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
}

# Our own tables that Citus must leave alone: roles may write some columns only, and Citus also writes the defaults.
LOCAL = (
    *("audit_log", "batch", "declaration", "erased_value", "erasure", "migration", "operation", "partitioning"),
    *("pii_vault", "pii_vault_key", "pii_vault_shared", "rekeying", "removal", "token_key"),
)


def findings(connection: Connection, stream: type[Stream], roles: Mapping[str, Credentials]) -> list[str]:
    """Compare a stream with its table, and return what does not fit: a sentence each, which says what to change."""
    relation = catalogue.look_up(connection, stream)
    if relation is None:
        return [f"{stream.__name__}: there is no table {stream.table}"]
    if relation.kind in KINDS:
        return [f"{stream.__name__}: {stream.table} is {KINDS[relation.kind]}; a stream needs a table"]
    found = {column.name: column for column in catalogue.columns(connection, relation)}
    told = [
        *_of_relation(connection, relation, stream, roles),
        *_of_key(connection, relation, stream, found),
        *_of_partitions(connection, relation, stream),
        *_of_columns(connection, stream, found),
    ]
    return [f"{stream.__name__}: {sentence}" for sentence in told]


def distributed(connection: Connection) -> list[str]:
    """Return which of our own tables are distributed though they cannot be: a sentence each, which says what to do."""
    ((citus,),) = connection.run("SELECT to_regclass('pg_dist_partition')::text") or [[None]]
    if citus is None:
        return []
    rows: Any = connection.run(
        "SELECT relname::text FROM pg_dist_partition JOIN pg_class ON oid = logicalrelid WHERE partmethod <> 'n'"
        " AND logicalrelid = ANY(ARRAY(SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name))"
        " ORDER BY relname",
        names=array_cell(LOCAL),
    )
    return [
        f"the table {name} is distributed, and Sluice needs it on the coordinator; SELECT undistribute_table('{name}')"
        for (name,) in rows
    ]


def _of_relation(
    connection: Connection, relation: Relation, stream: type[Stream], roles: Mapping[str, Credentials]
) -> Iterator[str]:
    table = stream.table
    if relation.unlogged:
        what = "table" if relation.kind != PARTITIONED else "partition"
        yield (
            f"the {what} {relation.unlogged} is unlogged, so a crash would empty it;"
            f" ALTER TABLE {relation.unlogged} SET LOGGED"
        )
    if relation.has_children:
        yield (
            f"tables inherit from {table}, and its primary key does not hold for their rows;"
            " partition it instead (PARTITION BY)"
        )
    if relation.rule:
        yield f"the table {table} has the rule {relation.rule}, which COPY does not follow; make it a trigger"
    bound = _bound_by_row_security(connection, roles) if relation.has_row_security else []
    if relation.has_row_security and (bound or not roles):
        yield (
            f"the table {table} has row-level security, under which ingest cannot COPY and forget finds no row;"
            f" ALTER TABLE {table} DISABLE ROW LEVEL SECURITY,"
            f" or give BYPASSRLS to {', '.join(bound) or 'the login roles'}"
        )
    if not relation.can_grant:
        yield (
            f"the table {table} belongs to {relation.owner}, and {relation.user} cannot grant rights on it;"
            f" ALTER TABLE {table} OWNER TO {relation.user}"
        )
    if "." in table and not relation.can_grant_schema:
        yield (
            f"{relation.user} cannot grant USAGE on the schema {relation.schema};"
            f" GRANT USAGE ON SCHEMA {relation.schema} TO {relation.user} WITH GRANT OPTION"
        )


def _bound_by_row_security(connection: Connection, roles: Mapping[str, Credentials]) -> list[str]:
    """Return the roles that use the table and that row-level security applies to."""
    names = [roles[role].username for role in ("ingest", "forget", "rekey") if role in roles]
    rows = connection.run("SELECT rolname::text FROM pg_roles WHERE rolbypassrls OR rolsuper") or []
    return [name for name in names if [name] not in rows]


def _of_key(
    connection: Connection, relation: Relation, stream: type[Stream], found: Mapping[str, Found]
) -> Iterator[str]:
    table = stream.table
    if not {*OWN_COLUMNS} <= found.keys():
        return  # `_of_columns` tells which are missing
    for column, wanted in zip(OWN_COLUMNS, ("uuid", "timestamptz"), strict=True):
        type_ = found[column].type
        if type_.is_array or type_.name != wanted or type_.modifier not in (-1, 6):
            yield f"the column {table}.{column} is {type_.spelled}, and must be {wanted}"
    keys: Any = connection.run(
        "SELECT i.indisprimary, i.indimmediate, i.indisvalid, array_agg(a.attname::text ORDER BY a.attname)"
        " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts"  # the first is 0; INCLUDE's come last
        " WHERE i.indrelid = CAST(:oid AS oid) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL"
        " GROUP BY i.indexrelid, i.indisprimary, i.indimmediate, i.indisvalid",
        oid=relation.oid,
    )
    allowed, wanted = [["message_id"]], "(message_id)"
    if relation.is_partitioned:
        allowed, wanted = [["message_id"], [*OWN_COLUMNS]], "(message_id), or (message_id, sent_at)"
    if relation.is_partitioned and stream.partitioning:
        allowed, wanted = [[*OWN_COLUMNS]], "(message_id, sent_at)"
    primary = next((columns for is_primary, _, _, columns in keys if is_primary), None)
    fitting = [key for key in keys if key[3] in allowed and (key[0] or key[3] == ["message_id"])]
    if not fitting:
        has = f"has the primary key ({', '.join(primary)})" if primary else "has no primary key"
        yield f"the table {table} {has}, so a message that comes twice would be two rows; it must be {wanted}"
    elif not any(is_immediate and is_valid for _, is_immediate, is_valid, _ in fitting):
        yield f"the key {wanted} of the table {table} is deferrable or invalid; it must be checked at once"


def _of_partitions(connection: Connection, relation: Relation, stream: type[Stream]) -> Iterator[str]:
    """Tell what is in the way of the declared partitions. A table without partitions gets them later."""
    if stream.partitioning is None:
        return
    rows: Any = connection.run(
        "SELECT pg_get_partkeydef(c.oid)::text, partdefid::regclass::text, pg_has_role(relowner, 'USAGE'),"
        " pg_get_userbyid(relowner)::text FROM pg_class c"
        " LEFT JOIN pg_partitioned_table ON partrelid = c.oid AND partdefid <> 0 WHERE c.oid = CAST(:oid AS oid)",
        oid=relation.oid,
    )
    ((key, default, is_ours, owner),) = rows
    if key not in (None, BY_TIME):
        yield f"the table {stream.table} is partitioned by {key}, and must be by {BY_TIME}"
    if default is not None:
        yield (
            f"the table {stream.table} has the default partition {default}, in which what expires would stay forever;"
            f" ALTER TABLE {stream.table} DETACH PARTITION {default}"
        )
    if not is_ours:
        yield (
            f"the table {stream.table} belongs to {owner}, and {relation.user} cannot make partitions of it;"
            f" ALTER TABLE {stream.table} OWNER TO {relation.user}"
        )


def _of_columns(connection: Connection, stream: type[Stream], found: Mapping[str, Found]) -> Iterator[str]:
    table = stream.table
    declared = {column.name: column for column in column_types.columns(stream.layout)}
    own = [*OWN_COLUMNS, *([stream.column_of_batch] if stream.column_of_batch else [])]
    lacking = sorted({*own, *declared} - found.keys())
    for name in lacking:
        yield f"the table {table} lacks the column {name}"
    if (batch := found.get(stream.column_of_batch)) and (batch.type.is_array or batch.type.name != "int8"):
        yield f"the column {table}.{batch.name} is {batch.type.spelled}, and must be bigint: it names a row's batch"
    for name in sorted(found.keys() - {*own, *declared}) if not lacking else []:  # else it may be one renamed
        column = found[name]
        if column.not_null and not column.has_default and not column.is_generated:
            yield f"nothing is written to the column {name}, which must not be null"
    for name in [name for name in (*own, *declared) if name in found]:
        column = found[name]
        if column.is_generated or column.is_always_identity:
            how = "generated" if column.is_generated else "GENERATED ALWAYS AS IDENTITY"
            yield f"the column {table}.{name} is {how}, so nothing can be written to it; make it a plain column"
        elif name in declared:
            yield from _of_column(connection, table, declared[name], column)


def _of_column(connection: Connection, table: str, declared: Column, column: Found) -> Iterator[str]:
    place = f"{table}.{column.name}"
    if not fits(connection, declared, column):
        values = f"every value of {declared.pointer}" if declared.pointer else "every value"
        type_, wanted = column.type.spelled, declared.cells.wanted
        yield f"the column {place} is {type_}, which does not hold {values}; make it {wanted}"
    if column.not_null and declared.nullable:
        why = f"{declared.pointer} can be" if declared.pointer else "what is written to it can be"
        change = f"ALTER TABLE {table} ALTER COLUMN {column.name} DROP NOT NULL"
        yield f"the column {place} must not be null, but {why}; {change}"


def fits(connection: Connection, declared: Column, column: Found) -> bool:
    """Tell whether a column of the table holds every value that the declaration writes to it."""
    if declared.cells.fit(column.type):
        return True
    if not isinstance(declared.cells, Choices) or column.type.is_array or column.type.name in TEXTS:
        return False
    connection.run("SAVEPOINT choices")
    try:
        for choice in declared.cells.choices:
            connection.run(f"SELECT CAST({literal(choice)} AS {column.type.spelled})")
    except DatabaseError:
        return False
    finally:
        connection.run("ROLLBACK TO SAVEPOINT choices")
    return True
