"""The owner: whether it may do what a deployment does."""

from collections.abc import Iterator
from typing import Any

from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.postgres.database import SCHEMA
from sluice.postgres.driver import Connection, identifier

AREA = "owner"


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Look at what the login that the migrations use may do."""
    rows: Any = connection.run(
        "SELECT r.rolname::text, rolsuper OR rolcreaterole, n.oid IS NOT NULL,"
        " coalesce(has_schema_privilege(n.oid, 'CREATE'), true),"
        " has_database_privilege('public', d.oid, 'CONNECT') OR pg_has_role(datdba, 'USAGE')"
        " OR has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION'),"
        " coalesce(has_schema_privilege('public', n.oid, 'USAGE') OR pg_has_role(nspowner, 'USAGE')"
        " OR has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION'), true), d.datname::text,"
        " EXISTS (SELECT FROM pg_language WHERE lanname = 'plpgsql'),"
        " EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')"
        " FROM pg_database d JOIN pg_roles r ON rolname = current_user"
        f" LEFT JOIN pg_namespace n ON nspname = '{SCHEMA}' WHERE datname = current_database()"
    )
    name, makes_roles, has_schema, creates, lets_connect, lets_use, database, has_plpgsql, has_iam = rows[0]
    owner = identifier(name)
    connect = f"GRANT CONNECT ON DATABASE {identifier(database)} TO {owner} WITH GRANT OPTION"
    yield Finding(AREA, "good", f"{name} deploys")
    for is_well, sentence, statement in (
        (makes_roles, "The owner may make no roles.", f"ALTER ROLE {owner} CREATEROLE"),
        (has_schema, f"There is no schema {SCHEMA}.", f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {owner}"),
        (creates, f"The owner may create nothing in {SCHEMA}.", f"GRANT CREATE ON SCHEMA {SCHEMA} TO {owner}"),
        (lets_connect, "The owner cannot let the roles connect to the database.", connect),
        (
            lets_use,
            f"The owner cannot let the roles use the schema {SCHEMA}.",
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {owner} WITH GRANT OPTION",
        ),
        (has_plpgsql, "The language plpgsql is missing.", "CREATE EXTENSION plpgsql"),
    ):
        if not is_well:
            yield Finding(AREA, "fails", sentence, name, f"As a user who may, run: {statement}")
    if subject.login_by_iam and not has_iam:
        sentence = "There is no role rds_iam, so there is no login by IAM."
        advice = "Switch IAM authentication on, or deploy with DatabaseLogin=password."
        yield Finding(AREA, "fails", sentence, name, advice)
