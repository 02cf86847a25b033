"""The streams in the text of template.yaml, read, added and replaced.

A stream is a word in the list of a loop. What is not derived from the word is in a line of a mapping.
"""

import json
import re
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

FILE = "template.yaml"
LOOP = "Fn::ForEach::Streams"
_NEXT = r"[^\n]*\n(?: *(?:#[^\n]*)?\n)* *"  # the rest of a line, and lines that are empty or a comment
LIST = re.compile(  # of the loop over the streams: its variable, then the words
    rf"^ *{LOOP}:{_NEXT}- *[A-Za-z0-9]+{_NEXT}- *\[(?P<words>[^\[\]]*)\]", re.MULTILINE
)
MAPPING = re.compile(r"^Mappings:[^\n]*\n(?:(?: [^\n]*)?\n)*?(?P<indent> +)Streams:[^\n]*\n", re.MULTILINE)


class NoSuchPlace(Exception):
    """The template has no place for streams: says what was looked for."""

    @classmethod
    def of_list(cls) -> "NoSuchPlace":
        return cls(f"has no list of the streams: {LOOP}, a variable, and [words]")


def word(name: str) -> str:
    """Return the word that stands for a stream: logical ids have letters and digits alone."""
    return name if "_" not in name else "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def declared(template: str) -> tuple[list[Any], dict[Any, dict[Any, Any]]]:
    """Return the words of the streams, and what the mapping says of each word. Raises NoSuchPlace.

    What YAML takes for no text is of another type.
    """
    from samtranslator.yaml_helper import yaml_parse  # of the tools for authors; it knows the tags, such as !Ref

    read = yaml_parse(template)
    match read:
        case {"Resources": {"Fn::ForEach::Streams": [_, list(words), *_]}}:
            pass
        case _:
            raise NoSuchPlace.of_list()
    match read:
        case {"Mappings": {"Streams": dict(lines)}}:
            return words, {word: line if isinstance(line, dict) else {} for word, line in lines.items()}
    return words, {}


def with_stream(template: str, name: str, queue: str | None = None) -> str:
    """Return the template with one more stream, and nothing else changed. Raises NoSuchPlace."""
    added = word(name)
    found = _list(template)["words"]
    there = re.findall(r"\w+", found)
    if added.lower() in map(str.lower, there):
        raise NoSuchPlace(f"has the stream {added} already")
    kept = found.rstrip()
    listed = f"{kept.removesuffix(',')}, {_scalar(added)}" if there else _scalar(added)
    template = _with_list(template, listed + found[len(kept) :])
    options = {"Name": name} if added != name else {}
    options |= {"Queue": queue} if queue else {}
    return _with_lines(template, {added: options}) if options else template


def with_streams(template: str, streams: Mapping[str, Mapping[str, object]]) -> str:
    """Return the template with these words in its list of streams, and with what its mapping is to say of each.

    The mapping may not be empty, so the lines of other words stay: they say nothing. Raises NoSuchPlace.
    """
    return _with_lines(_with_list(template, ", ".join(map(_scalar, streams))), streams)


def _list(template: str) -> re.Match[str]:
    match = LIST.search(template)
    if match is None:
        raise NoSuchPlace.of_list()
    return match


def _with_list(template: str, listed: str) -> str:
    start, end = _list(template).span("words")
    return template[:start] + listed + template[end:]


def _with_lines(template: str, streams: Mapping[str, Mapping[str, object]]) -> str:
    """Return the template with lines of these words behind the others', and none for what is derived from a word."""
    match = MAPPING.search(template)
    if match is None:
        raise NoSuchPlace("has no mapping of the streams: Mappings, Streams")
    inner = match["indent"] + "  "
    rest = template[match.end() :].splitlines(keepends=True)
    inside = list(takewhile(lambda line: line.startswith(inner) or not line.strip(), rest))
    while inside and not inside[-1].strip():
        inside.pop()
    kept, is_kept = "", True
    for line in inside:
        if re.match(rf"{inner}[^ #]", line):
            is_kept = line.split(":")[0].strip(' "') not in streams
        kept += line if is_kept else ""
    made = "".join(f"{inner}{_scalar(key)}: {_line(options)}\n" for key, options in streams.items() if options)
    return template[: match.end()] + kept + made + "".join(rest[len(inside) :])


def _line(options: Mapping[str, object]) -> str:
    return f"{{ {', '.join(f'{option}: {_scalar(value)}' for option, value in options.items())} }}"


def _scalar(value: object) -> str:
    """Return a value as YAML takes it for the same: as a text, `on` and 12 are in quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = value[0].isalpha() and value.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return value if is_plain else f'"{value}"'
