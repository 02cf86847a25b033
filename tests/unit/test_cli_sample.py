"""`sluice sample` prints records that the stream takes, of nobody, in its envelope."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.declaration.registry import load_all
from sluice.declaration.rules import Integer, Number, Rule, Text
from sluice.declaration.stream import Stream
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import STREAM, in_envelope, run
from tests.unit.kinds import KINDS, PLACES, Place
from tools.sluice_cli.authors.generator import Generator

OF_ONES_OWN = ("custom",)  # its example is that of a text, and its function may take no such thing
BOUNDS = {
    "text of one": Text(max=1),
    "below zero": Integer(min=-9, max=-3),
    "around zero": Integer(min=-9, max=9),
    "bigint": Integer(min=2**62),
    "only behind the point": Number(precision=2, scale=2),
    "far behind the point": Number(precision=40, scale=30),
}
RULES: dict[str, Rule] = {name: kind.rule for name, kind in KINDS.items() if name not in OF_ONES_OWN} | BOUNDS


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_takes_its_samples_wherever_it_is(rule: Rule, place: Place, keyset: Keyset) -> None:
    stream = place.declare(rule)
    source, mask = Generator(stream, random.Random(1)), stream.masker(keyset)
    bodies = [source.body(is_complete=number == 0) for number in range(20)]
    assert len({mask(body).cells for body in bodies}) > 1 or isinstance(rule, Text)


@pytest.mark.parametrize("stream", load_all(), ids=lambda stream: stream.stream_name)
def test_a_stream_takes_its_samples(stream: type[Stream], keyset: Keyset) -> None:
    source, mask = Generator(stream, random.Random(1)), stream.masker(keyset)
    for number in range(100):
        mask(source.body(is_complete=number == 0))


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_samples_are_in_the_envelope_of_their_stream(
    envelope: str, declare: Callable[[str, str], None], tmp_path: Path
) -> None:
    declare("visits", in_envelope(envelope))
    code, output, errors = run("sample", "visits", "--count", "30")
    assert (code, errors) == (0, "")
    file = tmp_path / "records.jsonl"
    file.write_text(output)
    assert "Records: 30. Rows: 30. Rejected: 0." in run("preview", "visits", str(file))[1]


def test_the_first_sample_has_every_field_and_later_ones_lack_some(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    records = [json.loads(line) for line in run("sample", "visits", "--count", "100")[1].splitlines()]
    assert records[0].keys() == {"kind", "version", "mails", "guest", "stops"}
    assert all(records[0]["guest"].values())
    assert any(record["guest"]["nickname"] is None for record in records)


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_the_same_seed_makes_the_same_samples(envelope: str, declare: Callable[[str, str], None]) -> None:
    declare("visits", in_envelope(envelope))
    first, again, other, unseeded = (
        run("sample", "visits", "--count", "5", *seed)[1]
        for seed in (["--seed", "7"], ["--seed", "7"], ["--seed", "8"], [])
    )
    assert first == again
    assert len({first, other, unseeded}) == 3


def test_samples_that_the_streams_own_code_refuses_are_made_again(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM.replace("return len(self.stops)", 'return {"in": 1}[self.kind]'))
    lines = run("sample", "visits", "--count", "50")[1].splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["in"] * 50


def test_a_stream_that_takes_none_is_told_with_the_field(declare: Callable[[str, str], None]) -> None:
    rule = "class Secret(Rule):\n    def canonical(self, value, /):\n        return value\n\n\n"
    text = STREAM.replace("    Redact,\n", "    Redact,\n    Rule,\n").replace("class Guest", f"{rule}class Guest")
    declare("visits", text.replace("badge: Annotated[str, Text(max=20)", "badge: Annotated[str, Secret()"))
    error = "sluice: sample: /stops/*/badge: Secret has no example that it takes\n"
    assert run("sample", "visits") == (1, "", error)


def test_an_envelope_of_ones_own_is_left_out_and_told(declare: Callable[[str, str], None]) -> None:
    text = STREAM.replace("class Guest", "def unseal(body: str) -> str:\n    return body.strip('!')\n\n\nclass Guest")
    declare("visits", text.replace('table="visits"', 'table="visits", envelope=unseal'))
    code, output, errors = run("sample", "visits")
    assert (code, json.loads(output).keys()) == (0, {"kind", "version", "mails", "guest", "stops"})
    assert errors == "sluice: sample: the envelope unseal is of your own: these are the records without it\n"
