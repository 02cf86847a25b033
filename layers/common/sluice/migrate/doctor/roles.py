"""The login roles: there, able to log in, and nothing more than the deployment made them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.migrate.logins import ADMIN_IS_NEEDED, LONGEST_NAME, grant_of_admin
from sluice.postgres.cells import array_cell
from sluice.postgres.database import SETTINGS
from sluice.postgres.driver import Connection, identifier

AREA = "roles"
DEPLOY = "Invoke MigrateFunction."


class _Role(NamedTuple):
    """What the catalogue says of a role."""

    name: str
    may_log_in: bool
    attributes: list[str]  # that it should not have
    limit: int  # of its connections; -1: none
    is_ours_to_change: bool
    groups: list[str]
    settings: list[str]  # names of those that no deployment gave it


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Look at each role, where there is one; before a deployment there need be none."""
    known = {role.name: role for role in _look_up(connection, subject)}
    yield Finding(AREA, "good", f"{len(known)} of {len(subject.roles)} are there")
    for name in subject.roles.values():
        if len(name.encode()) > LONGEST_NAME:
            sentence = f"The name is longer than {LONGEST_NAME} bytes, so several roles would be one."
            yield Finding(AREA, "fails", sentence, name, "Give the stack a shorter name.")
        elif name in known:
            yield from _of_role(connection, known[name], subject)
        elif subject.is_deployed:
            yield Finding(AREA, "fails", "There is no such role.", name, DEPLOY)


def _of_role(connection: Connection, role: _Role, subject: Subject) -> Iterator[Finding]:
    name = role.name
    groups = [group for group in role.groups if group != "rds_iam"]
    is_in_iam = "rds_iam" in role.groups
    if not role.is_ours_to_change:
        advice = f"As a superuser run: {grant_of_admin(connection, name)}"
        yield Finding(AREA, "fails", "The owner may not change it, so the next deployment fails.", name, advice)
    if not role.may_log_in:
        yield Finding(AREA, "fails", "It may not log in.", name, f"ALTER ROLE {identifier(name)} LOGIN")
    if subject.is_deployed and subject.login_by_iam is not None and is_in_iam != subject.login_by_iam:
        sentence = "It is in rds_iam, so its password is not taken." if is_in_iam else "It is not in rds_iam."
        yield Finding(AREA, "fails", sentence, name, DEPLOY)
    if role.attributes or groups:
        sentence = f"It can do more than its work takes: {', '.join([*role.attributes, *groups])}."
        advice = f"ALTER ROLE {identifier(name)} NO…, or REVOKE the membership; then find out who gave it."
        yield Finding(AREA, "warns", sentence, name, advice)
    if 0 <= role.limit < subject.connections and name == subject.roles.get("ingest"):
        sentence = f"It may have {role.limit} connections, and the streams want {subject.connections}."
        advice = f"ALTER ROLE {identifier(name)} CONNECTION LIMIT -1"
        yield Finding(AREA, "warns", sentence, name, advice)
    if role.settings:
        sentence = f"It has settings that no deployment gave it: {', '.join(role.settings)}."
        yield Finding(AREA, "warns", sentence, name, f"{DEPLOY} Then find out who had its password.")


def _look_up(connection: Connection, subject: Subject) -> list[_Role]:
    rows: Any = connection.run(
        "SELECT rolname::text, rolcanlogin, array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END,"
        " CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,"
        " CASE WHEN rolreplication THEN 'REPLICATION' END], NULL), rolconnlimit,"
        f" current_setting('server_version_num')::integer < {ADMIN_IS_NEEDED}"
        " OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'),"
        " ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1),"
        " ARRAY(SELECT split_part(setting, '=', 1) FROM pg_db_role_setting s, unnest(setconfig) setting"
        " WHERE setrole = r.oid AND (setdatabase = 0 OR setdatabase = d.oid"
        " AND split_part(setting, '=', 1) <> ALL (CAST(:settings AS text[]))) ORDER BY 1)"
        " FROM pg_roles r JOIN pg_database d ON datname = current_database()"
        " WHERE rolname = ANY (CAST(:names AS text[]))",
        names=array_cell(list(subject.roles.values())),
        settings=array_cell(list(SETTINGS)),
    )
    return [_Role(*row) for row in rows]
