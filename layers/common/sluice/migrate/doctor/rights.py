"""The roles' rights: all that their work takes, and no more.

The migrations say what it takes on Sluice's own tables, a stream's declaration what it takes on the stream's.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from sluice.migrate import catalogue, migrations, rights
from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.migrate.rights import Rights
from sluice.postgres.cells import array_cell
from sluice.postgres.database import SCHEMA
from sluice.postgres.driver import Connection

AREA = "rights"
GRANT = re.compile(r"^(GRANT|REVOKE) ([^;]+) ON (FUNCTION )?([^;]+) (?:TO|FROM) ([^;]+);", re.MULTILINE)
PRIVILEGE = re.compile(r"([A-Z]+)(?: \(([^)]+)\))?")


class Right(NamedTuple):
    """What a role may do with a relation, or with a column of it."""

    role: str
    privilege: str
    relation: int  # its oid
    column: str


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Compare what the roles may do with what their work takes. Before a deployment, the tables' owner alone counts."""
    own = _of_product(connection, subject)
    wanted = own | set(_of_streams(connection, subject))
    relations = {right.relation for right in wanted}
    yield from _of_owner(connection, {right.relation for right in own})  # `tables` tells it of the streams' tables
    if not subject.is_deployed:
        yield Finding(AREA, "good", f"{len(relations)} tables are there to grant rights on")
        return
    lacking = _lacking(connection, wanted)
    yield Finding(AREA, "good", f"{len(wanted) - len(lacking)} that the roles' work takes")
    for role, told in _told(connection, lacking):
        advice = "GRANT it again, or where it is on a stream's table, invoke MigrateFunction."
        yield Finding(AREA, "fails", f"It may not {told}.", role, advice)
    for role, told in _told(connection, _held(connection, relations, subject) - wanted):
        yield Finding(AREA, "warns", f"It may {told}, which nothing needs.", role, "REVOKE it.")
    yield from _of_functions(connection, subject)


class _Grant(NamedTuple):
    """A GRANT of a migration of the product, or a REVOKE that takes back what an earlier one granted."""

    is_taken_back: bool
    given: Rights
    is_of_function: bool
    things: list[str]
    roles: list[str]  # as the migrations call them


def _grants() -> list[_Grant]:
    return [
        _Grant(word == "REVOKE", _parsed(given), bool(function), things.split(", "), re.findall(r':"(\w+)"', roles))
        for migration in migrations.of_product()
        for word, given, function, things, roles in GRANT.findall(migration.sql)
    ]


def _of_product(connection: Connection, subject: Subject) -> set[Right]:
    """Return what the migrations grant on Sluice's own tables, as far as these are there."""
    found: set[Right] = set()
    for grant in _grants():
        for name in grant.things if not grant.is_of_function else []:
            rows: Any = connection.run("SELECT to_regclass(:name)::oid::bigint", name=name)
            for role in grant.roles:
                rights_of_role = set(_rights(subject, role, rows[0][0], grant.given))
                found = found - rights_of_role if grant.is_taken_back else found | rights_of_role
    return found


def _of_streams(connection: Connection, subject: Subject) -> Iterator[Right]:
    """Yield what a deployment grants on the streams' tables, as far as these are there."""
    for stream in subject.streams:
        if relation := catalogue.look_up(connection, stream):
            for role, given in rights.of_stream(stream, relation.is_partitioned).items():
                yield from _rights(subject, role, relation.oid, given)


def _parsed(privileges: str) -> Rights:
    return {name: columns.split(", ") if columns else [] for name, columns in PRIVILEGE.findall(privileges)}


def _rights(subject: Subject, role: str, relation: int | None, given: Rights) -> Iterator[Right]:
    if relation is not None and role in subject.roles:
        for privilege, columns in given.items():
            for column in columns or [""]:
                yield Right(subject.roles[role], privilege, relation, column)


def _lacking(connection: Connection, wanted: Iterable[Right]) -> set[Right]:
    """Return the rights that a role has in no way, neither on the whole table nor by membership."""
    rows: Any = connection.run(
        'SELECT rolname::text, privilege, relation, "column" FROM jsonb_to_recordset(CAST(:wanted AS jsonb))'
        ' AS w(role text, privilege text, relation bigint, "column" text) JOIN pg_roles ON rolname = role'
        " WHERE NOT has_table_privilege(rolname, relation::oid, privilege)"
        " AND NOT coalesce((SELECT has_column_privilege(rolname, relation::oid, attnum, privilege) FROM pg_attribute"
        ' WHERE attrelid = relation::oid AND attname = "column" AND NOT attisdropped), "column" <> \'\')',
        wanted=msgspec.json.encode([right._asdict() for right in wanted]).decode(),
    )
    return {Right(*row) for row in rows}


def _held(connection: Connection, relations: Iterable[int], subject: Subject) -> set[Right]:
    """Return the rights that the roles were given on any table, and those that everybody has on one of ours."""
    rows: Any = connection.run(
        "WITH given AS ("
        "SELECT oid, '' AS name, relacl AS acl FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
        " AND relnamespace <> ALL (ARRAY['pg_catalog', 'information_schema']::regnamespace[])"
        " UNION ALL SELECT attrelid, attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL AND NOT attisdropped)"
        " SELECT coalesce(rolname::text, 'PUBLIC'), privilege_type, g.oid::bigint, name::text"
        " FROM given g, aclexplode(acl) x LEFT JOIN pg_roles r ON r.oid = grantee"
        " WHERE rolname = ANY (CAST(:names AS text[]))"
        " OR grantee = 0 AND g.oid = ANY (CAST(:relations AS bigint[])::oid[])",
        names=array_cell(list(subject.roles.values())),
        relations=array_cell(list(relations)),
    )
    return {Right(*row) for row in rows}


def _of_owner(connection: Connection, relations: Iterable[int]) -> Iterator[Finding]:
    rows: Any = connection.run(
        "SELECT oid::regclass::text, pg_get_userbyid(relowner)::text, current_user::text FROM pg_class"
        " WHERE oid = ANY (CAST(:relations AS bigint[])::oid[]) AND NOT pg_has_role(relowner, 'USAGE') ORDER BY 1",
        relations=array_cell(list(relations)),
    )
    for table, owner, user in rows:
        sentence = f"The table belongs to {owner}, so {user} cannot grant rights on it."
        yield Finding(AREA, "fails", sentence, table, f"ALTER TABLE {table} OWNER TO {user}")


def _of_functions(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Look at the functions whose execution the migrations grant: to those roles, and to nobody else."""
    grants = [grant for grant in _grants() if grant.is_of_function and not grant.is_taken_back]
    wanted = sorted({(name, role) for grant in grants for name in grant.things for role in grant.roles})
    for name, role in [*wanted, *((name, "public") for name in sorted({name for name, _ in wanted}))]:
        rows: Any = connection.run(
            "SELECT bool_and(has_function_privilege(CAST(:role AS name), oid, 'EXECUTE')) FROM pg_proc"
            f" WHERE proname = :name AND pronamespace = '{SCHEMA}'::regnamespace"
            " AND (CAST(:role AS name) = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = :role))",
            name=name,
            role=subject.roles.get(role, role),
        )
        if role == "public" and rows[0][0]:
            sentence = f"Everybody may EXECUTE {name}, which nothing needs."
            yield Finding(AREA, "warns", sentence, "PUBLIC", f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC")
        elif role in subject.roles and rows[0][0] is False:
            yield Finding(AREA, "fails", f"It may not EXECUTE {name}.", subject.roles[role], "GRANT it again.")


def _told(connection: Connection, rights: Iterable[Right]) -> Iterator[tuple[str, str]]:
    """Yield each role with a text of all its rights."""
    names: dict[int, str] = {}
    for relation in {right.relation for right in rights}:
        rows: Any = connection.run("SELECT CAST(:oid AS oid)::regclass::text", oid=relation)
        names[relation] = rows[0][0]
    for role, of_role in groupby(sorted(rights), key=lambda right: right.role):
        parts = [
            f"{privilege} {names[relation]}{_columns([right.column for right in same])}"
            for (privilege, relation), same in groupby(of_role, key=lambda right: (right.privilege, right.relation))
        ]
        yield role, ", ".join(parts)


def _columns(columns: list[str]) -> str:
    return f" ({', '.join(columns)})" if any(columns) else ""
