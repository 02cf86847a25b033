"""What users bring of their own. The fixtures of a real server are those of the integration tests."""

import pytest

from sluice.pseudonyms.keyset import Keyset
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
from tests.unit.fakes import KEYSET

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
def keyset() -> Keyset:
    return Keyset.parse(KEYSET)
