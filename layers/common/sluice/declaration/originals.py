"""Clear values on their way from the masking to the vault: personal data, so no representation shows them."""

import msgspec


class Original(msgspec.Struct, frozen=True, gc=False):
    """What a token stands for: a canonical value, in the clear. Nothing but `Vault.seal` looks at it."""

    domain: str
    token: str
    value: str

    def __repr__(self) -> str:
        return f"Original(domain={self.domain!r}, token={self.token!r})"


class Originals(msgspec.Struct, frozen=True, gc=False):
    """What of a record may be recovered, and the canonical value that says whose record it is, where one does."""

    subject: str | None = None
    values: tuple[Original, ...] = ()

    def __repr__(self) -> str:
        return f"Originals(values={self.values!r})"
