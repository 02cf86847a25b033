"""The catalogue: what PostgreSQL knows of a stream's table and its columns."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice.declaration.column_types import ColumnType
from sluice.declaration.stream import Stream
from sluice.postgres.driver import Connection, identifier

PARTITIONED = "p"


class Relation(NamedTuple):
    """What the catalogue says of a table."""

    oid: int
    kind: str
    unlogged: str | None  # this table, or a partition of it
    has_row_security: bool
    has_children: bool  # that inherit from it
    rule: str | None
    owner: str
    user: str  # who asks
    can_grant: bool
    schema: str
    can_grant_schema: bool

    @property
    def is_partitioned(self) -> bool:
        return self.kind == PARTITIONED


class Found(NamedTuple):
    """A column of a table."""

    name: str
    type: ColumnType
    not_null: bool
    has_default: bool
    is_generated: bool
    is_always_identity: bool


def found(connection: Connection, stream: type[Stream]) -> dict[str, Found] | None:
    """Return the columns of a stream's table by name; None where there is no table."""
    relation = look_up(connection, stream)
    return None if relation is None else {column.name: column for column in columns(connection, relation)}


def look_up(connection: Connection, stream: type[Stream]) -> Relation | None:
    """Return what the catalogue says of a stream's table, or None where there is none."""
    schema, _, name = stream.table.rpartition(".")
    # to_regclass() fails, rather than finds nothing, in a schema that the owner may not use.
    rows = connection.run(
        "SELECT c.oid::bigint, c.relkind::text,"
        " (SELECT min(p.oid::regclass::text) FROM pg_class p WHERE p.relkind = 'r' AND p.relpersistence = 'u'"
        " AND (p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))),"
        " c.relrowsecurity,"
        " c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),"
        " (SELECT min(rulename) FROM pg_rewrite WHERE ev_class = c.oid AND c.relkind IN ('r', 'p'))::text,"
        " pg_get_userbyid(c.relowner)::text, current_user::text,"
        " pg_has_role(c.relowner, 'USAGE') OR (SELECT bool_and(has_table_privilege(c.oid, p || ' WITH GRANT OPTION'))"
        " FROM unnest(ARRAY['INSERT', 'SELECT', 'UPDATE', 'DELETE']) p),"
        " n.nspname::text,"
        " pg_has_role(n.nspowner, 'USAGE') OR has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE CASE :schema WHEN '' THEN c.oid = to_regclass(:table)"
        " ELSE n.nspname = :schema AND c.relname = :name END",
        schema=schema,
        name=name,
        table=str(identifier(name)),
    )
    return Relation(*rows[0]) if rows else None


def columns(connection: Connection, relation: Relation) -> Iterator[Found]:
    """Yield the columns. A domain goes by the type below it, an array by the type of its elements."""
    rows: Any = connection.run(
        "WITH RECURSIVE attribute AS ("
        "SELECT attnum, atttypid AS type, atttypmod AS modifier, attnotnull AS not_null FROM pg_attribute"
        " WHERE attrelid = CAST(:oid AS oid) AND attnum > 0 AND NOT attisdropped"
        " UNION ALL SELECT attnum, typbasetype, typtypmod, not_null OR typnotnull"
        " FROM attribute JOIN pg_type t ON t.oid = type WHERE typtype = 'd')"
        " SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), e.typname::text, b.modifier,"
        " t.typcategory = 'A', e.typtype NOT IN ('b', 'e') OR e.typtype = 'b'"
        " AND e.typnamespace <> 'pg_catalog'::regnamespace AND e.typname <> 'citext',"
        " b.not_null, a.atthasdef AND a.attgenerated = '' OR a.attidentity <> '', a.attgenerated <> '',"
        " a.attidentity = 'a'"
        " FROM attribute b JOIN pg_attribute a ON a.attrelid = CAST(:oid AS oid) AND a.attnum = b.attnum"
        " JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'"
        " JOIN pg_type e ON e.oid = CASE t.typcategory WHEN 'A' THEN t.typelem ELSE t.oid END"
        " ORDER BY a.attnum",
        oid=relation.oid,
    )
    for name, spelled, base, modifier, is_array, is_foreign, *rest in rows:
        yield Found(name, ColumnType(spelled, base, modifier, is_array, is_foreign), *rest)
