"""From a file of samples to rows of a deployed stream, by the commands alone, as its author types them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clone import Clone, fresh_clone
from tests.e2e.conftest import eventually
from tests.e2e.test_documented_commands import Kept
from tools.template import with_streams, word

# As the README has them.
SIGN_UPS = [
    {"name": f"Person {number}", "email": f"person{number % 3}@example.com", "country": "GB", "note": "Call me"}
    for number in range(10)
]
# In the form of a conference's webhook, with values of nobody.
SAMPLES = [
    {
        "event": "meeting.participant_joined",
        "event_ts": 1_772_355_000_000 + number,
        "payload": {
            "accountId": "AAAAAABBBB",
            "object": {
                "uuid": f"7d1c5b1e-2c2b-4f0a-9f0e-0b1c2d3e4f{number:02}",
                "topic": "Weekly",
                "start_time": "2026-03-01T09:30:00Z",
                "duration": 40 + number,
                "participant": {
                    "user_name": f"Person {number}",
                    "email": f"person{number % 3}@example.com",
                    "ip_address": f"192.0.2.{number}",
                    "join_time": "2026-03-01T09:31:00Z",
                },
            },
        },
    }
    for number in range(10)
]


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with fresh_clone() as clone:
        files: dict[str, list[Any]] = {"samples": SIGN_UPS, "door_events": SAMPLES[:5], "visits": SAMPLES[5:]}
        for name, samples in files.items():
            (clone.folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, samples)))
        try:
            yield Kept(clone, clone.run("make demo ARGS=--keep"))
        finally:
            clone.run("make down")


def confirm(clone: Clone, name: str) -> None:
    """Confirm what `sluice new` proposes, by deleting the marks."""
    declaration = clone.folder / "layers" / "streams" / f"{name}.py"
    assert "  # confirm: " in declaration.read_text()
    clone.run(f"sed -i 's/  # confirm: .*//' {declaration}")


def words(clone: Clone, *kept: str) -> None:
    """Leave these streams in the template."""
    template = clone.folder / "template.yaml"
    template.write_text(with_streams(template.read_text(), {word(name): {"Name": name} for name in kept}))


def lead(clone: Clone, name: str, streams: dict[str, str]) -> None:
    """Declare a route to these streams, by the values of the key `event`."""
    folder, lines, members = clone.folder / "layers" / "streams", ["from sluice import Route"], []
    for value, stream in streams.items():
        (declared,) = re.findall(r"^class (\w+)\(Stream", (folder / f"{stream}.py").read_text(), re.MULTILINE)
        lines.append(f"from streams.{stream} import {declared}")
        members.append(f'"{value}": {declared}')
    lines += ["", "", 'class Led(Route, by="event"):', f"    to = {{{', '.join(members)}}}"]
    (folder / f"{name}.py").write_text("\n".join([f'"""{name}"""', "", *lines, ""]))


def test_a_file_of_samples_becomes_a_stream_that_runs_with_no_other_edit(kept: Kept) -> None:
    kept.run("sluice new sign_ups --samples samples.jsonl --subject email")
    confirm(kept.clone, "sign_ups")
    assert "✓ sign_ups " in kept.run("sluice check")
    assert "✓ Deploy" in kept.run("make redeploy")
    assert "Sent 10 messages to the stream sign_ups" in kept.run("sluice send sign_ups samples.jsonl")
    eventually(lambda: kept.sql("SELECT count(*) FROM sign_ups"), "10\n")
    assert kept.sql("SELECT count(DISTINCT email) FROM sign_ups") == "3\n"
    assert kept.run("sluice tail sign_ups --since 10m --seconds 1").count(" row ") == 10
    assert " sign_ups " in kept.run("sluice status")


def test_streams_come_and_go_and_the_others_stay_as_they_are(kept: Kept) -> None:
    for name in ("door_events", "visits"):
        kept.run(f"sluice new {name} --samples {name}.jsonl --subject payload.object.participant.email")
        confirm(kept.clone, name)
    kept.run("make redeploy")
    for name in ("door_events", "visits"):
        kept.run(f"sluice send {name} {name}.jsonl")
        eventually(lambda: kept.sql(f"SELECT count(*) FROM {name}"), "5\n")  # noqa: B023

    lead(kept.clone, "meetings", {"joined": "door_events", "left": "visits"})  # one queue in the place of two
    words(kept.clone, "sign_ups", "meetings")
    kept.run("make redeploy")
    assert [line.split()[1] for line in status(kept)] == ["meetings", "sign_ups"]
    kept.run("sluice send sign_ups samples.jsonl")
    assert "Sent 4 messages to the stream meetings" in kept.run("sluice send meetings --generate 4")
    eventually(lambda: kept.sql("SELECT count(*) FROM sign_ups"), "20\n")
    for name in ("door_events", "visits"):
        eventually(lambda: kept.sql(f"SELECT count(*) FROM {name}"), "7\n")  # noqa: B023


def test_a_stack_may_have_no_stream_at_all(kept: Kept) -> None:
    words(kept.clone)
    assert "✓ Deploy" in kept.run("make redeploy")
    assert status(kept) == []
    assert kept.sql("SELECT count(*) FROM sign_ups") == "20\n"  # what was stored stays
    assert Path(kept.connections["folder"]).is_dir()


def status(kept: Kept) -> list[str]:
    return [line for line in kept.run("sluice status").splitlines() if line.startswith("│")]
