"""template.yaml with the streams of the tests, and without its loops.

`python -m tools.local.template FILE` prints it without loops, as JSON: for what cannot read Fn::ForEach.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ministack.services.cloudformation import language_extensions
from samtranslator.yaml_helper import yaml_parse

from tools.project import DECLARED
from tools.template import with_streams

TRANSFORM = "AWS::LanguageExtensions"


def expanded(template: str) -> dict[str, Any]:
    """Return a template with each loop replaced by what it makes. Raises LanguageExtensionsError for a bad loop."""
    plain: dict[str, Any] = language_extensions.apply(yaml_parse(template), {})
    transforms = plain.pop("Transform", [])
    others = [one for one in (transforms if isinstance(transforms, list) else [transforms]) if one != TRANSFORM]
    return plain | ({"Transform": others} if others else {})


def declared(template: str) -> str:
    """Return the template with the streams that the tests declare, whatever a user made of the shipped ones."""
    return with_streams(template, json.loads((DECLARED / "template.json").read_text()))


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.template FILE", file=sys.stderr)
        return 2
    print(json.dumps(expanded(Path(sys.argv[1]).read_text()), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
