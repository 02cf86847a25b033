"""A value of a million characters or of any exponent is taken or refused like every other, and as soon."""

import json
from datetime import UTC, datetime

import pytest

from sluice.declaration.masks import Keep
from sluice.declaration.rules import (
    Boolean,
    CaseFolded,
    Custom,
    Email,
    Id,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import PLACES, mask_body

MANY = 1_000_000  # characters: as many as a message of SQS has
EXPONENTS = ["400", "999", "5000", "999999999", "999999999999999999", "9" * 20, "9" * MANY]
SIGNIFICANDS = ("1", "-1", "0", "0.1")
NUMBERS = [f"{number}e{sign}{exponent}" for number in SIGNIFICANDS for sign in "+-" for exponent in EXPONENTS]
NUMBERS += ["9" * MANY, "-" + "9" * MANY, "0." + "9" * MANY, "0." + "0" * MANY + "1", "1." + "0" * MANY]
NUMBERS += ["1" + "0" * MANY, "1" * MANY + f"e-{MANY - 1}", "1.5e308", "5e-324", "-0.0"]
TEXTS = [*NUMBERS, "NaN", "-nan", "sNaN", "Infinity", "-inf", "0" * MANY]
# Digits, and what ends no number: an expression that can read the digits in two ways tries all of them.
TEXTS += ["9" * MANY + end for end in ("x", "-", "-01-01T00:00:00Z", ".x", "e", "e+", " ", "\0")]
PARTS = ("0", "1.", "1-", "1 ", "(", ":", "+")
TEXTS += [f"{start}{part * (MANY // len(part))}" for start in ("", "+44") for part in PARTS]
TEXTS += ["a@" + "a." * (MANY // 2), "a@" + "é" * MANY, "é" * MANY, "a@" * (MANY // 2), "+1 ext " + "1" * MANY]
TEXTS += ["2026-01-31T23:59:59." + "9" * MANY + "Z", "2026-W" * (MANY // 6), "2026-01-31T" + "1:" * (MANY // 2)]
RULES: dict[str, Rule] = {
    **{f"number {precision}, {scale}": Number(precision, scale) for precision, scale in ((1, 0), (38, 10), (200, 150))},
    "largest number": Number(1000, 1000),
    "integer": Integer(),
    "integer as text": Integer(text=True),
    "seconds": Timestamp(),
    "milliseconds": Timestamp(epoch="milliseconds"),
    "bounded": Timestamp(earliest=datetime(1900, 1, 1, tzinfo=UTC)),
    "version": Version(),
    "phone": Phone(region="GB"),
    "uuid": Uuid(),
    "ip": IpAddress(),
    "email": Email(),
    "text": Text(max=9),
    "id": Id(max=9),
    "folded": CaseFolded(max=9),
    "custom": Custom(max=9, form=str.strip),
    "choice": OneOf("a"),
    "boolean": Boolean(),
}


def outcome(rule: Rule, value: str, keyset: Keyset) -> tuple[str, str]:
    """Return the cell of a value given as JSON as a text, or the reason why there is none; and where."""
    place = PLACES["alone"]
    try:
        (cell,) = mask_body(place.declare(rule, Keep()), place.record("", value), keyset)
    except Rejected as rejected:
        return rejected.reason, rejected.pointer
    return str(cell), "/field"


@pytest.mark.parametrize("name", RULES)
def test_a_value_of_any_size_is_taken_or_refused_at_its_field(name: str, keyset: Keyset) -> None:
    for value in [*NUMBERS, *map(json.dumps, TEXTS)]:
        found, pointer = outcome(RULES[name], value, keyset)
        assert found != "internal_error", value[:40]
        assert pointer == "/field" or found == "not_json", value[:40]
        assert len(found) <= 2 * 1000 + 2, value[:40]  # digits of PostgreSQL's numeric, a sign and a point


@pytest.mark.parametrize("name", RULES)
def test_what_is_no_number_in_json_is_none(name: str, keyset: Keyset) -> None:
    for value in ("NaN", "Infinity", "-Infinity", "nan", "1e", "01", "0x1f", "1_000", ".5", "5.", "+1"):
        assert outcome(RULES[name], value, keyset)[0] in ("not_json", "wrong_type"), value
