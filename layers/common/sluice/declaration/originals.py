"""Clear values on their way from the masking to the vault: personal data, so no representation shows them."""

from dataclasses import dataclass, field, replace

import msgspec


class Original(msgspec.Struct, frozen=True, gc=False):
    """What a token stands for: a canonical value, in the clear. Nothing but `Vault.seal` looks at it."""

    domain: str
    token: str
    value: str

    def __repr__(self) -> str:
        return f"Original(domain={self.domain!r}, token={self.token!r})"


class Originals(msgspec.Struct, frozen=True, gc=False):
    """What of a record may be recovered, and the canonical values that say whose record it is, where any do."""

    subjects: tuple[str, ...] = ()
    values: tuple[Original, ...] = ()

    def __repr__(self) -> str:
        return f"Originals(values={self.values!r})"


@dataclass(frozen=True)
class Notes:
    """What the masking of one record finds on its way; cleared before the next."""

    originals: list[Original] = field(default_factory=list, repr=False)
    inside: dict[tuple[str | None, str], dict[str, None]] = field(default_factory=dict)
    """The tokens inside of the text that was just masked, by the column (None: not named) and domain of their array."""
    nulled: list[str] = field(default_factory=list)  # pointers of the fields whose value broke its rule and became NULL
    pointer: str = ""  # of the object that is masked, `*` for each element of a list

    def below(self, pointer: str) -> "Notes":
        """Return the same notes, for an object inside of this one."""
        return replace(self, pointer=self.pointer + pointer)

    def note_nulled(self, pointer: str) -> None:
        self.nulled.append(self.pointer + pointer)

    def clear(self) -> None:
        """Forget the record. All but the originals are empty for most streams, and that is quick to see."""
        self.originals.clear()
        if self.inside:
            self.inside.clear()
        if self.nulled:
            self.nulled.clear()
