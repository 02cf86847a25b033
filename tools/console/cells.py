"""The text of a cell in pieces: its tokens, each in a colour, and what is between them."""

from typing import NamedTuple
from zlib import crc32

from sluice.pseudonyms.keyset import TOKEN

HUES = 24  # colours of tokens, as the style sheet has them
SHORT = 12  # characters of a token that are shown where many stand side by side


class Piece(NamedTuple):
    """A part of a cell's text: a token, or what is around it."""

    text: str
    is_token: bool = False

    @property
    def short(self) -> str:
        return f"{self.text[:SHORT]}…"

    @property
    def hue(self) -> int:
        """The number of the token's colour: equal values have equal colours."""
        return crc32(self.text.encode()) % HUES


def pieces(text: str) -> list[Piece]:
    """Return a text in pieces."""
    found, end = [], 0
    for token in TOKEN.finditer(text):
        found += [Piece(text[end : token.start()]), Piece(token[0], is_token=True)]
        end = token.end()
    return [piece for piece in [*found, Piece(text[end:])] if piece.text]
