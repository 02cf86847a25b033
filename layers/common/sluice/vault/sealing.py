"""The vault: it seals clear values. Those who may use its KMS key get them back.

A value is sealed with AES-256-GCM under a data key of KMS, with its domain as associated data: a nonce of 12 bytes,
then ciphertext and tag. https://docs.aws.amazon.com/kms/latest/developerguide/data-keys.html
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec

from sluice.aws import clients
from sluice.declaration.originals import Original
from sluice.failures import Outage
from sluice.settings import VaultSettings

DATA_KEY_SECONDS = 3600
DATA_KEY_VALUES = 100_000
KNOWN_TOKENS = 100_000  # about 20 MB
NONCE_BYTES = 12


class Altered(Exception):
    """A sealed value does not open, or is not the one of its token: somebody changed it."""


class Place(NamedTuple):
    """Where in the vault a value is sealed: with the rows of a stream that were sent on a day.

    The value is dropped with these rows. Streams without partitions share one place, where a value is sealed once.
    """

    stream: str
    day: str  # ISO 8601, UTC


SHARED = Place("", "-infinity")


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """One row of `pii_vault`."""

    token: str
    domain: str
    sealed: bytes
    place: Place = SHARED


class WrappedDataKey(NamedTuple):
    """One row of `pii_vault_key`: a data key that KMS alone can open."""

    id: UUID
    wrapped: bytes
    kms_key_arn: str


class DataKey:
    """A data key in the clear, in memory alone: it seals and opens."""

    def __init__(self, wrapped: WrappedDataKey, plaintext: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # here: a function starts without it

        self.wrapped = wrapped
        self.expires_at = time.time() + DATA_KEY_SECONDS  # by the wall clock: an environment may be frozen for long
        self.values = 0
        self._aes = AESGCM(plaintext)

    def seal(self, original: Original, place: Place = SHARED) -> Sealed:
        """Seal a value under this data key."""
        self.values += 1
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._aes.encrypt(nonce, original.value.encode(), original.domain.encode())
        return Sealed(original.token, original.domain, sealed, place)

    def open(self, sealed: bytes, domain: str) -> str:
        """Return the clear value. Raises Altered when it was not sealed under this data key and domain."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], domain.encode()).decode()
        except (InvalidTag, ValueError):
            raise Altered from None


class Vault:
    """What an execution environment needs to seal: a data key of its own, and the tokens that it knows to be sealed."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._data_key: DataKey | None = None
        self._committed_data_key: UUID | None = None
        self._known: dict[Place, set[str]] = defaultdict(set)
        self._generation: int | None = None

    def prepare(self) -> None:
        """Have a data key that is fresh enough. Raises Outage when KMS gives none."""
        key = self._data_key
        if key is None or time.time() > key.expires_at or key.values >= DATA_KEY_VALUES:
            self._data_key = generate_data_key(self._settings)

    def observe(self, generation: int) -> None:
        """Drop what is known to be in the vault if there was an erasure or a sweep since the last time."""
        if generation != self._generation:
            self._known.clear()
            self._committed_data_key = None
            self._generation = generation

    def seal(self, originals: Mapping[Place, Iterable[Original]]) -> list[Sealed]:
        """Seal the values whose tokens are not known to be sealed in their place, each once, sorted by token."""
        new = {
            (original.token, place): original
            for place, several in originals.items()
            for original in self.unknown(place, several)
        }
        return [self._key().seal(new[token, place], place) for token, place in sorted(new)]

    def unknown(self, place: Place, originals: Iterable[Original]) -> list[Original]:
        """Return the values whose tokens are not known to be sealed in a place."""
        known = self._known[place]
        return [original for original in originals if original.token not in known]

    @property
    def wrapped_data_key(self) -> WrappedDataKey:
        """The data key as KMS wrapped it, for the database. Raises Outage when there is none."""
        return self._key().wrapped

    @property
    def is_data_key_committed(self) -> bool:
        """Whether a transaction with that data key's row is known to be committed."""
        return self._key().wrapped.id == self._committed_data_key

    def committed(self, sealed: Iterable[Sealed]) -> None:
        """Remember what a committed transaction has put into the vault: these values, and the data key with them."""
        for entry in sealed:
            self._known[entry.place].add(entry.token)
            self._committed_data_key = self._key().wrapped.id
        if sum(map(len, self._known.values())) > KNOWN_TOKENS:
            self._known.clear()

    def _key(self) -> DataKey:
        if self._data_key is None:
            raise Outage("vault: no data key")
        return self._data_key


def generate_data_key(settings: VaultSettings) -> DataKey:
    """Have KMS make a data key. Raises Outage when it does not."""
    try:
        made = clients.client("kms").generate_data_key(
            KeyId=settings.key_id, KeySpec="AES_256", EncryptionContext=dict(settings.encryption_context)
        )
    except clients.errors() as error:
        raise Outage(f"kms: {clients.reason(error)}") from None  # the text holds ids of the account and the KMS key
    return DataKey(WrappedDataKey(uuid4(), made["CiphertextBlob"], made["KeyId"]), made["Plaintext"])


def open_data_key(wrapped: WrappedDataKey, settings: VaultSettings) -> DataKey:
    """Have KMS open a data key. Raises Altered when its KMS key has not wrapped it, Outage when KMS fails."""
    try:
        opened = clients.client("kms").decrypt(
            CiphertextBlob=wrapped.wrapped,
            KeyId=settings.here(wrapped.kms_key_arn),
            EncryptionContext=dict(settings.encryption_context),
        )
    except clients.errors() as error:
        if clients.reason(error) in ("InvalidCiphertextException", "IncorrectKeyException"):
            raise Altered from None
        raise Outage(f"kms: {clients.reason(error)}") from None
    return DataKey(wrapped, opened["Plaintext"])
