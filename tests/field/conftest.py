"""Fixtures of the tests of what users bring: no network, no database."""

import pytest
from hypothesis import settings

from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import KEYSET

settings.register_profile("field", deadline=None, database=None)  # a slow machine is no failure
settings.load_profile("field")


@pytest.fixture
def keyset() -> Keyset:
    return Keyset.parse(KEYSET)
