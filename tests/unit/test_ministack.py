"""What is done to the template for each emulator, and that it is all."""

import json
from pathlib import Path

import pytest

from tests.unit.template import PROJECT
from tools.local import localstack, ministack
from tools.local.template import declared, expanded

TEXT = declared((PROJECT / "template.yaml").read_text())


@pytest.mark.parametrize("has_loops", [True, False])
def test_two_resources_are_left_out_and_every_mapping_slowed_down(has_loops: bool, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEXT if has_loops else json.dumps(expanded(TEXT)))
    ministack.fit(template)
    fitted = template.read_text()
    before, after = expanded(TEXT)["Resources"], (expanded if has_loops else json.loads)(fitted)["Resources"]
    assert before.keys() - after.keys() == {"KeysetPolicy", "BreakerTicksAlarm"}
    before["Schema"]["DependsOn"].remove("KeysetPolicy")
    changed = {name for name, resource in after.items() if resource != before[name]}
    assert changed == {f"{word}IngestFunction{word}" for word in ("Logins", "Orders")}
    for name in changed:
        slowed = {"ScalingConfig": {"MaximumConcurrency": ministack.CONCURRENCY}}
        assert after[name]["Properties"] == before[name]["Properties"] | slowed


def test_localstack_retains_what_aws_does(tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    template.write_text(json.dumps(expanded(TEXT)))
    localstack.fit(template)
    before, after = expanded(TEXT)["Resources"], json.loads(template.read_text())["Resources"]
    changed = {name for name, resource in after.items() if resource != before[name]}
    assert changed == {name for name, resource in before.items() if "DeletionPolicy" in resource}
    assert all(after[name] == before[name] | {"DeletionPolicy": "Retain"} for name in changed)
