"""Percent-encoding (RFC 3986, 2.1): a text without it, and where in the text each character stands."""

import re
from collections.abc import Sequence

MOST_DECODINGS = 3  # a value in a URL in a URL is encoded twice

_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def decoded(text: str) -> tuple[str, Sequence[int]]:
    """Return the text without its percent-encoding, and where each of its characters, and its end, was."""
    offsets: Sequence[int] = range(len(text) + 1)
    for _ in range(MOST_DECODINGS):
        shorter, places = _decoded_once(text)
        if len(shorter) == len(text):
            break
        text, offsets = shorter, [offsets[place] for place in places]
    return text, offsets


def _decoded_once(text: str) -> tuple[str, list[int]]:
    pieces: list[str] = []
    places: list[int] = []
    end = 0
    for match in _ESCAPES.finditer(text):
        start, stop = match.span()
        pieces.append(text[end:start])
        places += range(end, start)
        for character in bytes.fromhex(match[0].replace("%", "")).decode(errors="surrogateescape"):
            if "\udc80" <= character <= "\udcff":  # no character: it stays as it is
                pieces.append(text[start : start + 3])
                places += range(start, start + 3)
                start += 3
            else:
                pieces.append(character)
                places.append(start)
                start += 3 * len(character.encode())
        end = stop
    return "".join([*pieces, text[end:]]), [*places, *range(end, len(text) + 1)]
