"""Keyed tokens of clear values: equal values of a domain have one token. Without the keyset none tells whose it is."""

import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from sluice.failures import Outage

SHORTEST_KEY = 43  # characters: 256 bits in base64url, and less than the 64 letters and digits that the template makes

TOKEN = re.compile(r"t(?P<key>[1-9][0-9]{0,5})_(?P<digest>[A-Za-z0-9_-]{43})")

_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648, section 5


@dataclass(frozen=True, eq=False)  # no comparison of secrets; each reading of the secret is a keyset of its own
class Keyset:
    """The token keys by number, 1 to `current`: secret, so they are in no representation of it."""

    keys: Mapping[int, str] = field(repr=False)
    current: int

    @classmethod
    def parse(cls, secret: str) -> "Keyset":
        """Read `{"current": 1, "1": "<key>"}`. Raises Outage, naming the rule, when it is anything else."""
        try:
            members = msgspec.json.decode(secret, type=dict[str, int | str])
        except msgspec.DecodeError:
            raise Outage("keyset: must be a JSON object of keys") from None  # the cause may quote the secret
        current = members.pop("current", None)
        keys = {int(number): key for number, key in members.items() if re.fullmatch("[1-9][0-9]{0,5}", number)}
        if not isinstance(current, int) or len(keys) != len(members) or sorted(keys) != list(range(1, len(keys) + 1)):
            raise Outage("keyset: must have `current` and keys numbered from 1 without a gap")
        if current not in keys:
            raise Outage("keyset: `current` must be the number of one of its keys")
        if any(not isinstance(key, str) or len(key) < SHORTEST_KEY for key in keys.values()):
            raise Outage(f"keyset: every key must be a text of at least {SHORTEST_KEY} characters")
        return cls({number: str(key) for number, key in keys.items()}, current)

    def pseudonymizer(self, domain: str) -> Callable[[str], str]:
        """Return the function from a canonical value to its token under the current token key.

        A token is `t<k>_` and 43 characters of base64url. Its digest under token key 1 is HMAC-SHA-256 of the value.
        Under token key k it is that of the digest under k - 1. So an older token becomes a current one without the
        value.
        """
        first, *later = self._hmacs(domain)
        prefix = f"t{self.current}_"

        def pseudonymize(value: str) -> str:
            digest = first(value.encode())
            for rekey in later:
                digest = rekey(digest)
            return prefix + b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode()

        return pseudonymize

    def tokens(self, domain: str, value: str) -> list[str]:
        """Return the tokens of a canonical value under every token key up to the current one, which comes last."""
        return self.all_tokens(domain)(value)

    def all_tokens(self, domain: str) -> Callable[[str], list[str]]:
        """Return the function from a canonical value to these tokens."""
        first, *later = self._hmacs(domain)

        def tokens(value: str) -> list[str]:
            digests = [first(value.encode())]
            for rekey in later:
                digests.append(rekey(digests[-1]))
            return [_token(number, digest) for number, digest in enumerate(digests, 1)]

        return tokens

    def newer(self, domain: str) -> Callable[[str], list[str]]:
        """Return the function from a token to the tokens of its value under each newer token key, the current one last.

        There are none for a token under the current token key.
        """
        hmacs = self._hmacs(domain)

        def newer(token: str) -> list[str]:
            parts = TOKEN.fullmatch(token)
            if not parts:
                raise ValueError("this is no token")
            number, digest, tokens = int(parts["key"]), urlsafe_b64decode(parts["digest"] + "="), []
            for later, rekey in enumerate(hmacs[number:], number + 1):
                digest = rekey(digest)
                tokens.append(_token(later, digest))
            return tokens

        return newer

    @cached_property
    def check_values(self) -> Mapping[int, bytes]:
        """What the database remembers of each token key: 32 bytes that tell whether it is the same, and no more."""
        return {number: self._derive(number, "check/v1") for number in self.keys}

    def _hmacs(self, domain: str) -> list[Callable[[bytes], bytes]]:
        return [_hmac_sha256(self._derive(number, f"token/v1/{domain}")) for number in range(1, self.current + 1)]

    def _derive(self, number: int, purpose: str) -> bytes:
        """Derive 32 bytes from a token key by HKDF-SHA-256 (RFC 5869), without salt: token keys are random already."""
        # Not at the top: a function needs it once in five minutes, and not to start.
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), 32, salt=None, info=f"sluice/{purpose}".encode()).derive(self.keys[number].encode())


def _token(number: int, digest: bytes) -> str:
    return f"t{number}_" + b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode()


def _hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """Return HMAC-SHA-256 (RFC 2104) under a key, which is set up once here and not with every message.

    That takes 0.6 µs for a short message. The standard library's `hmac` takes 1.1 so, and 1.6 by `hmac.digest`.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC

    keyed = HMAC(key, SHA256())

    def digest(message: bytes) -> bytes:
        hmac = keyed.copy()
        hmac.update(message)
        return hmac.finalize()

    return digest
