"""template.yaml in, the same with other streams, or without its loops, out.

`python -m tools.local.template FILE` prints it without loops, as JSON: for what cannot read Fn::ForEach.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ministack.services.cloudformation import language_extensions
from samtranslator.yaml_helper import yaml_parse

from tools.project import DECLARED

TRANSFORM = "AWS::LanguageExtensions"
LIST = re.compile(r"(?<=  Fn::ForEach::Streams:\n    - Stream\n    - )\[.*\]")
LINES = re.compile(r"(?<=^  Streams:\n)(    \w+: \{.*\}\n)*", re.MULTILINE)


def expanded(template: str) -> dict[str, Any]:
    """Return a template with each loop replaced by what it makes. Raises LanguageExtensionsError for a bad loop."""
    plain: dict[str, Any] = language_extensions.apply(yaml_parse(template), {})
    return plain | {"Transform": [transform for transform in plain["Transform"] if transform != TRANSFORM]}


def declared(template: str) -> str:
    """Return the template with the streams that the tests declare, whatever a user made of the shipped ones."""
    return with_streams(template, json.loads((DECLARED / "template.json").read_text()))


def with_streams(template: str, streams: Mapping[str, Mapping[str, object]]) -> str:
    """Return the template with these words in its list of streams, and with what its mapping is to say of each."""
    lines = [f"    {word}: {json.dumps(overrides)}\n" for word, overrides in streams.items() if overrides]

    def mapping(
        found: re.Match[str],
    ) -> str:  # it may not be empty, and a line of a word that is no stream says nothing
        others = [line for line in found[0].splitlines(keepends=True) if line.split(":")[0].strip() not in streams]
        return "".join(others + lines)

    with_list, lists = LIST.subn(f"[{', '.join(streams)}]", template)
    with_lines, mappings = LINES.subn(mapping, with_list)
    if (lists, mappings) != (1, 1):
        raise ValueError("template.yaml: must have one list of streams, and one mapping of them")
    return with_lines


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.template FILE", file=sys.stderr)
        return 2
    print(json.dumps(expanded(Path(sys.argv[1]).read_text()), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
