"""KMS: wraps data keys under its keys, which it makes of their ids: any other fake opens what one has wrapped."""

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tools.testing.aws.service import Service, refusal

KEY_BYTES = 32
PADDING = bytes(124)  # so that a wrapped key is as long as KMS makes it: 184 bytes
NONCE_BYTES = 12


@dataclass
class FakeKms(Service):
    """Wraps data keys as KMS does: each under one of its keys, bound to an encryption context."""

    def generate_data_key(self, *, KeyId: str, KeySpec: str, EncryptionContext: dict[str, str]) -> dict[str, Any]:
        self._call("GenerateDataKey")
        assert KeySpec == "AES_256"
        plaintext = os.urandom(KEY_BYTES)
        return {"Plaintext": plaintext, "CiphertextBlob": _wrap(plaintext, KeyId, EncryptionContext), "KeyId": KeyId}

    def decrypt(self, *, CiphertextBlob: bytes, KeyId: str, EncryptionContext: dict[str, str]) -> dict[str, Any]:
        self._call("Decrypt")
        return {"Plaintext": _unwrap(CiphertextBlob, KeyId, EncryptionContext, "Decrypt"), "KeyId": KeyId}

    def re_encrypt(
        self,
        *,
        CiphertextBlob: bytes,
        SourceKeyId: str,
        SourceEncryptionContext: dict[str, str],
        DestinationKeyId: str,
        DestinationEncryptionContext: dict[str, str],
    ) -> dict[str, Any]:
        self._call("ReEncrypt")
        plaintext = _unwrap(CiphertextBlob, SourceKeyId, SourceEncryptionContext, "ReEncrypt")
        return {
            "CiphertextBlob": _wrap(plaintext, DestinationKeyId, DestinationEncryptionContext),
            "SourceKeyId": SourceKeyId,
            "KeyId": DestinationKeyId,
        }


def _wrap(plaintext: bytes, key_id: str, context: dict[str, str]) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _aes(key_id).encrypt(nonce, plaintext + PADDING, _bytes(context))


def _unwrap(blob: bytes, key_id: str, context: dict[str, str], operation: str) -> bytes:
    try:
        opened = _aes(key_id).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], _bytes(context))
        return opened[:KEY_BYTES]  # the first release's fake, of which a database is kept, did not pad
    except InvalidTag:
        raise refusal("InvalidCiphertextException", operation) from None


def _aes(key_id: str) -> AESGCM:
    return AESGCM(sha256(key_id.encode()).digest())


def _bytes(context: dict[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()
