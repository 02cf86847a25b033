"""UUIDs: with all their hyphens or none, and in either case."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.rules import Uuid
from sluice.failures import Rejected

ONE = "424cdd21-79f6-49f0-befc-636ba1b47d75"


@given(st.uuids())
def test_every_spelling_of_a_uuid_has_one_canonical_form(value: UUID) -> None:
    spellings = [str(value), str(value).upper(), value.hex, value.hex.upper()]
    assert {Uuid().canonical(spelling) for spelling in spellings} == {str(value)}


@pytest.mark.parametrize(
    "value",
    [
        f"urn:uuid:{ONE}",
        f"{{{ONE}}}",
        f"{{{ONE.replace('-', '')}}}",
        f" {ONE}",
        f"{ONE}\n",
        ONE.replace("-", "", 1),
        "424cdd2179f6-49f0-befc-636ba1b47d75-",
        "4-24cdd2179f649f0befc636ba1b47d75",
        "424cdd21--79f6-49f0-befc-636ba1b47d7",
        ONE.replace("-", "_"),
        ONE.replace("-", "\N{NON-BREAKING HYPHEN}"),
        "4_24cdd2179f649f0befc636ba1b47d7",
        "\N{ARABIC-INDIC DIGIT FOUR}" + ONE.replace("-", "")[1:],
        "\N{FULLWIDTH DIGIT FOUR}" + ONE[1:],
        "+24cdd2179f649f0befc636ba1b47d75",
        "0x4cdd2179f649f0befc636ba1b47d75",
        "g" * 32,
        ONE[:-1],
        f"{ONE}0",
        "",
    ],
)
def test_any_other_spelling_is_refused(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        Uuid().canonical(value)
    assert caught.value.reason == "not_a_uuid"


def test_the_example_is_canonical() -> None:
    assert Uuid().canonical(Uuid().example) == Uuid().example == str(UUID(int=0))
