"""Passwords are rotated as the runbook says: functions go on with the old one, and read the secret again once."""

from collections.abc import Callable

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import literal

from sluice.failures import Outage
from tests.field.environments import Functions
from tests.integration.databases import LOGINS, OWNER, TestDatabase, connect
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, record
from tests.versions import ANSWER
from tools.testing.aws.account import FakeAws

pytestmark = pytest.mark.directly("it is about connections, which a pooler makes and ends by itself")

NEW = "the new one"

type Migrate = Callable[[], object]


@pytest.fixture
def migrate(database: TestDatabase, settings: str, monkeypatch: pytest.MonkeyPatch) -> Migrate:
    """Invoke the migrate function, in the same environment each time."""
    environment = Environment("migrate")

    def invoke() -> object:
        with monkeypatch.context() as patch:
            for role in LOGINS:
                patch.setenv(f"{role.upper()}_SECRET_ID", role)
            patch.setenv("DATABASE_SECRET_ID", "owner")
            return environment.invoke({})

    return invoke


@pytest.mark.long
def test_the_roles_passwords_are_rotated_while_the_functions_go_on(
    functions: Functions, migrate: Migrate, fake_aws: FakeAws
) -> None:
    database, manager = functions.database, fake_aws.secretsmanager
    functions.do_everything()
    for role, login in LOGINS.items():
        manager.put_credentials(role, login.username, NEW)
    functions.do_everything()  # on the connections that are open
    database.disconnect_all()
    functions.do_everything()  # with the password that they know, which is still the role's
    assert migrate() == ANSWER
    functions.do_everything()
    database.disconnect_all()
    functions.do_everything()
    assert {role: manager.reads.count(role) - 1 for role in LOGINS} == dict.fromkeys(LOGINS, 2)  # migrate's own is one
    for login in LOGINS.values():
        connect(database.server, login.username, NEW).close()
        with pytest.raises(DatabaseError, match="28P01"):
            connect(database.server, login.username, login.password)


def test_a_new_environment_in_between_waits_for_migrate_and_loses_nothing(
    functions: Functions, migrate: Migrate, fake_aws: FakeAws
) -> None:
    fake_aws.secretsmanager.put_credentials("ingest", LOGINS["ingest"].username, NEW)
    sent = record()
    with pytest.raises(Outage, match=r"^database: SQLSTATE 28P01$"):
        functions.ingest.invoke(event(sent))
    assert functions.database.rows() == []
    migrate()
    assert functions.ingest.invoke(event(sent)) == failures()
    assert len(functions.database.rows()) == 1


def test_the_owners_password_is_read_anew_by_each_migration(
    database: TestDatabase, migrate: Migrate, fake_aws: FakeAws
) -> None:
    assert migrate() == ANSWER
    database.sql(f"ALTER ROLE {OWNER.username} PASSWORD {literal(NEW)}")
    fake_aws.secretsmanager.put_credentials("owner", OWNER.username, NEW)
    assert migrate() == ANSWER
