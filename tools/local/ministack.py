"""What MiniStack needs otherwise than AWS: a template that it can deploy, and repaired event source mappings.

`python -m tools.local.ministack template FILE` changes a built template. `python -m tools.local.ministack mappings`
changes the event source mappings that are deployed at AWS_ENDPOINT_URL.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from samtranslator.yaml_helper import yaml_parse

from tools.local.emulator import REGION

UNKNOWN = "AWS::SecretsManager::ResourcePolicy"


def leave_out_unknown(template: Path) -> None:
    """Remove the resources that MiniStack does not know from a built template."""
    parsed = yaml_parse(template.read_text())
    resources = parsed["Resources"].items()
    parsed["Resources"] = {name: resource for name, resource in resources if resource["Type"] != UNKNOWN}
    template.write_text(json.dumps(parsed))  # which is YAML too


def repair_mappings(functions: Any) -> None:
    """Give every mapping its concurrency as a number: MiniStack keeps the parameter's text and fails on it."""
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if concurrency := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            scaling = {"MaximumConcurrency": int(concurrency)}
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)


def main() -> int:
    match sys.argv[1:]:
        case ["template", file]:
            leave_out_unknown(Path(file))
        case ["mappings"]:
            repair_mappings(boto3.client("lambda", region_name=REGION))
        case _:
            print("usage: python -m tools.local.ministack template FILE | mappings", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
