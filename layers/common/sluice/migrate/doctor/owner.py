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
        " EXISTS (SELECT FROM pg_language WHERE lanname = 'plpgsql'), (SELECT pg_has_role(oid,"
        " 'MEMBER WITH ADMIN OPTION') FROM pg_roles WHERE rolname = 'rds_iam')"
        " FROM pg_database d JOIN pg_roles r ON rolname = current_user"
        f" LEFT JOIN pg_namespace n ON nspname = '{SCHEMA}' WHERE datname = current_database()"
    )
    name, makes_roles, has_schema, creates, lets_connect, lets_use, database, has_plpgsql, gives_iam = rows[0]
    owner = identifier(name)

    def fails(sentence: str, statement: str) -> Finding:
        return Finding(AREA, "fails", sentence, name, f"As a user who may, run: {statement}")

    yield Finding(AREA, "good", f"{name} deploys")
    if not makes_roles:
        yield fails("The owner may make no roles.", f"ALTER ROLE {owner} CREATEROLE")
    if not has_schema:
        yield fails(f"There is no schema {SCHEMA}.", f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {owner}")
    if not creates:
        yield fails(
            f"The owner may create nothing in the schema {SCHEMA}.", f"GRANT CREATE ON SCHEMA {SCHEMA} TO {owner}"
        )
    if not lets_connect:
        statement = f"GRANT CONNECT ON DATABASE {identifier(database)} TO {owner} WITH GRANT OPTION"
        yield fails("The owner cannot let the roles connect to the database.", statement)
    if not lets_use:
        statement = f"GRANT USAGE ON SCHEMA {SCHEMA} TO {owner} WITH GRANT OPTION"
        yield fails(f"The owner cannot let the roles use the schema {SCHEMA}.", statement)
    if not has_plpgsql:
        yield fails("The language plpgsql is missing.", "CREATE EXTENSION plpgsql")
    if subject.login_by_iam and gives_iam is None:
        sentence = "There is no role rds_iam, so there is no login by IAM."
        advice = "Switch IAM authentication on, or deploy with DatabaseLogin=password."
        yield Finding(AREA, "fails", sentence, name, advice)
    if subject.login_by_iam and gives_iam is False and not subject.is_deployed:
        yield fails("The owner has no ADMIN on rds_iam.", f"GRANT rds_iam TO {owner} WITH ADMIN OPTION")
