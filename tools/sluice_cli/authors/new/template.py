"""The template's text: a stream is a word in the list of a loop, and a line in a mapping where it needs one."""

import re

_NEXT = r"[^\n]*\n(?: *(?:#[^\n]*)?\n)* *"  # the rest of a line, and lines that are empty or a comment
LIST = re.compile(  # of the loop over the streams: its variable, then the words
    rf"^ *Fn::ForEach::Streams:{_NEXT}- *[A-Za-z0-9]+{_NEXT}- *\[(?P<words>[^\[\]]*)\]", re.MULTILINE
)
MAPPING = re.compile(r"^Mappings:[^\n]*\n(?:(?: [^\n]*)?\n)*?(?P<indent> +)Streams:[^\n]*\n", re.MULTILINE)


class NoSuchPlace(Exception):
    """The template has no place for a stream: says what was looked for."""


def word(name: str) -> str:
    """Return the word that stands for a stream: logical ids have letters and digits alone."""
    return name if "_" not in name else "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def with_stream(template: str, name: str, queue: str | None = None) -> str:
    """Return the template with one more stream, and nothing else changed. Raises NoSuchPlace."""
    added = word(name)
    match = LIST.search(template)
    if match is None:
        raise NoSuchPlace("has no list of the streams: Fn::ForEach::Streams, a variable, and [words]")
    words = re.findall(r"\w+", match["words"])
    if added.lower() in map(str.lower, words):
        raise NoSuchPlace(f"has the stream {added} already")
    end = match.end("words")
    kept = match["words"].rstrip().removesuffix(",")
    text = f"{kept}, {_scalar(added)}" if words else _scalar(added)
    template = template[: match.start("words")] + text + match["words"][len(match["words"].rstrip()) :] + template[end:]
    options = [f"Name: {_scalar(name)}"] if added != name else []
    options += [f"Queue: {_scalar(queue)}"] if queue else []
    return _with_line(template, added, options) if options else template


def _scalar(text: str) -> str:
    """Return a text as YAML takes it for one: `on` is a boolean, 12 a number."""
    is_plain = text[0].isalpha() and text.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text if is_plain else f'"{text}"'


def _with_line(template: str, added: str, options: list[str]) -> str:
    """Return the template with a line of what is not derived from the stream's word, behind the others."""
    match = MAPPING.search(template)
    if match is None:
        raise NoSuchPlace("has no mapping of the streams: Mappings, Streams")
    inner = match["indent"] + "  "
    end = at = match.end()
    for line in template[end:].splitlines(keepends=True):
        at += len(line)
        if line.startswith(inner):
            end = at
        elif line.strip():
            break
    return f"{template[:end]}{inner}{_scalar(added)}: {{ {', '.join(options)} }}\n{template[end:]}"
