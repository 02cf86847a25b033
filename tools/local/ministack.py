"""What MiniStack needs otherwise than AWS: a template without the resources that it does not know, and few batches.

`python -m tools.local.ministack FILE` changes a built template, with its loops or without them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

UNKNOWN = ("AWS::SecretsManager::ResourcePolicy",)
CONCURRENCY = 2  # batches of a stream at a time: each function that runs unpacks thousands of files of its layers


def fit(template: Path) -> None:
    """Remove the resources that MiniStack does not know from a built template, and lower the streams' concurrency."""
    parsed = yaml_parse(template.read_text())
    unknown = [name for name, resource in parsed["Resources"].items() if _is_unknown(resource)]
    for name in unknown:
        del parsed["Resources"][name]
    waits = parsed["Resources"]["Schema"]
    waits["DependsOn"] = [name for name in waits["DependsOn"] if name not in unknown]
    _slow_down(parsed["Resources"])
    template.write_text(json.dumps(parsed))  # which is YAML too


def _is_unknown(resource: object) -> bool:
    if not isinstance(resource, dict):  # a loop is a list
        return False
    return resource["Type"] in UNKNOWN or "Metrics" in resource.get("Properties", {})  # an alarm on an expression


def _slow_down(part: Any) -> None:
    """Give every event source mapping in a part of the template as few batches at a time."""
    if isinstance(part, dict) and "ScalingConfig" in part:
        part["ScalingConfig"] = {"MaximumConcurrency": CONCURRENCY}
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _slow_down(inner)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.ministack FILE", file=sys.stderr)
        return 2
    fit(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
