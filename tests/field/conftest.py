"""What users bring of their own. The fixtures of a real server are those of the integration tests."""

from collections.abc import Iterator

import pytest

from sluice.pseudonyms.keyset import Keyset
from tests.field.environments import Functions
from tests.integration.conftest import (
    any_database,
    database,
    deadline,
    empty_database,
    environments,
    fake_aws,
    ingest,
    migrated,
    open_store,
    settings,
)
from tests.integration.databases import TestDatabase
from tests.unit.fakes import KEYSET
from tools.testing.aws.account import FakeAws

__all__ = [
    "any_database",
    "database",
    "deadline",
    "empty_database",
    "environments",
    "fake_aws",
    "ingest",
    "migrated",
    "open_store",
    "settings",
]


@pytest.fixture
def functions(
    database: TestDatabase, fake_aws: FakeAws, settings: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Functions]:
    """All functions, directly at the database."""
    functions = Functions(database, fake_aws, monkeypatch)
    yield functions
    functions.close()


@pytest.fixture
def keyset() -> Keyset:
    return Keyset.parse(KEYSET)
