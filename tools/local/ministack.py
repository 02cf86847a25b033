"""What MiniStack needs otherwise than AWS: a template without the resources that it does not know.

`python -m tools.local.ministack FILE` changes a built template.
"""

import json
import sys
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

UNKNOWN = ("AWS::SecretsManager::ResourcePolicy",)


def leave_out_unknown(template: Path) -> None:
    """Remove the resources that MiniStack does not know from a built template."""
    parsed = yaml_parse(template.read_text())
    for name in [name for name, resource in parsed["Resources"].items() if _is_unknown(resource)]:
        del parsed["Resources"][name]
    template.write_text(json.dumps(parsed))  # which is YAML too


def _is_unknown(resource: object) -> bool:
    return isinstance(resource, dict) and resource["Type"] in UNKNOWN  # a loop is a list


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.ministack FILE", file=sys.stderr)
        return 2
    leave_out_unknown(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
