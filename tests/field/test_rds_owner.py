"""The master user of RDS and Aurora deploys: it makes roles, is no superuser, and need not have ADMIN on `rds_iam`.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
"""

from collections.abc import Callable, Iterator

import pytest
from pg8000.native import literal

from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import KEYSET, event, failures, record
from tests.versions import NEWEST

OF_RDS = ("rds_superuser", "rds_iam", "rds_password", "rds_replication")
NAMES = ", ".join(sorted(f'"{login.username}"' for login in LOGINS.values()))
MEMBERS = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole"

pytestmark = pytest.mark.own_server("it makes the roles of RDS")

type Deploy = Callable[[bool], Versions]


@pytest.fixture
def rds(empty_database: TestDatabase) -> Iterator[TestDatabase]:
    """An empty database with the roles of RDS, whose owner is what RDS makes of the master user."""
    empty_database.sql(
        "; ".join(f"CREATE ROLE {role}" for role in OF_RDS)
        + "; GRANT pg_monitor, pg_signal_backend, pg_checkpoint, rds_password, rds_replication TO rds_superuser"
        " WITH ADMIN OPTION"
        f"; ALTER ROLE {OWNER.username} NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION VALID UNTIL 'infinity'"
        f"; GRANT rds_superuser TO {OWNER.username}"
    )
    yield empty_database
    for role in reversed(OF_RDS):
        empty_database.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def deploy(rds: TestDatabase) -> Iterator[Deploy]:
    owner = Database(rds.settings("owner"), "sluice-migrate")
    owner._credentials = OWNER
    yield lambda login_by_iam: schema.migrate(
        owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60), login_by_iam=login_by_iam
    )
    owner.close()


def test_it_deploys_and_deploys_again_and_what_it_made_takes_messages_in(
    rds: TestDatabase, deploy: Deploy, database: TestDatabase, ingest: Environment
) -> None:
    assert ingest.invoke(event(record())) == failures()
    assert deploy(False) == NEWEST
    assert ingest.invoke(event(record())) == failures()
    assert len(rds.rows()) == 2


@pytest.mark.parametrize("login_by_iam", [True, False], ids=["to IAM", "to passwords"])
def test_without_admin_on_rds_iam_it_changes_the_login_or_is_told_one_statement_that_helps(
    login_by_iam: bool, rds: TestDatabase, deploy: Deploy
) -> None:
    if not login_by_iam:
        deploy(False)
        rds.sql(f"GRANT rds_iam TO {NAMES}")
    if rds.version >= 16:  # before, CREATEROLE suffices
        with pytest.raises(MigrationFailed) as failed:
            deploy(login_by_iam)
        reason, _, statement = str(failed.value).partition(" run: ")
        assert reason == "the owner may not change who is in rds_iam; as a member of rds_superuser, or a superuser,"
        assert statement == (f"GRANT rds_iam TO {NAMES}" if login_by_iam else f"REVOKE rds_iam FROM {NAMES}")
        rds.sql(statement)
    for _ in range(2):
        assert deploy(login_by_iam) == NEWEST
        assert rds.value(MEMBERS) == (len(LOGINS) if login_by_iam else 0)


def test_it_never_needs_a_token_itself(rds: TestDatabase, deploy: Deploy) -> None:
    """RDS takes no password of who is in `rds_iam`, be it by way of another role that it inherits from."""
    rds.sql(f"GRANT rds_iam TO {OWNER.username} WITH ADMIN OPTION" + (", INHERIT FALSE" if rds.version >= 16 else ""))
    deploy(False)
    deploy(True)
    inherited = (
        "WITH RECURSIVE found (oid) AS ("
        "SELECT member FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole AND member::regrole::text <> {owner}"
        " UNION SELECT member FROM pg_auth_members m JOIN found ON roleid = found.oid WHERE {inherits}"
        ") SELECT count(*) FROM found WHERE oid::regrole::text = {owner}"
    )
    inherits = "inherit_option" if rds.version >= 16 else "true"
    assert rds.value(inherited.format(owner=literal(OWNER.username), inherits=inherits)) == 0


def test_a_server_that_is_not_of_rds_is_told_of_as_such(empty_database: TestDatabase, fake_aws: object) -> None:
    owner = Database(empty_database.settings("owner"), "sluice-migrate")
    owner._credentials = OWNER
    with pytest.raises(MigrationFailed, match=r"^the server has no role rds_iam: DatabaseLogin=iam is for RDS"):
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60), login_by_iam=True)
    owner.close()
