"""Execution environments of Lambda functions, and the AWS that they see: fakes at the edge of boto3."""

import importlib.util
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from uuid import uuid4

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store
from sluice.settings import DatabaseSettings

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
VAULT_KEY = "arn:aws:kms:eu-central-1:000000000000:key/vault"
FUNCTIONS = Path(__file__).parents[2] / "functions"


@dataclass
class FakeSecretsManager:
    """Holds secrets by id, and remembers which were read."""

    secrets: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    put_at: dict[str, datetime] = field(default_factory=dict)  # by id; what a test has set was there long ago

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:
        self.reads.append(SecretId)
        if SecretId not in self.secrets:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
        return {"SecretString": self.secrets[SecretId], "CreatedDate": self.put_at.get(SecretId, LONG_AGO)}

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> dict[str, str]:
        self.secrets[SecretId] = SecretString
        self.put_at[SecretId] = datetime.now(UTC)
        return {"VersionId": str(uuid4())}

    def put_credentials(self, secret_id: str, username: str, password: str) -> None:
        self.secrets[secret_id] = json.dumps({"username": username, "password": password})


@dataclass
class FakeSqs:
    """Remembers the receipt handles of the messages that were made visible."""

    released: list[str] = field(default_factory=list)

    def get_queue_url(self, *, QueueName: str, QueueOwnerAWSAccountId: str) -> dict[str, str]:
        return {"QueueUrl": f"http://sqs/{QueueOwnerAWSAccountId}/{QueueName}"}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert all(entry["VisibilityTimeout"] == 0 for entry in Entries)
        self.released += [entry["ReceiptHandle"] for entry in Entries]
        return {}


@dataclass
class FakeKms:
    """Wraps data keys as KMS does: each under one of its keys, bound to an encryption context."""

    calls: list[str] = field(default_factory=list)
    fails_with: str = ""  # an error code: every call fails with it

    def generate_data_key(self, *, KeyId: str, KeySpec: str, EncryptionContext: dict[str, str]) -> dict[str, Any]:
        self._call("GenerateDataKey")
        assert KeySpec == "AES_256"
        plaintext = os.urandom(32)
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

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        if self.fails_with:
            raise ClientError({"Error": {"Code": self.fails_with}}, operation)


def _wrap(plaintext: bytes, key_id: str, context: dict[str, str]) -> bytes:
    nonce = os.urandom(12)
    return nonce + _aes(key_id).encrypt(nonce, plaintext, _bytes(context))


def _unwrap(blob: bytes, key_id: str, context: dict[str, str], operation: str) -> bytes:
    try:
        return _aes(key_id).decrypt(blob[:12], blob[12:], _bytes(context))
    except InvalidTag:
        raise ClientError({"Error": {"Code": "InvalidCiphertextException"}}, operation) from None


def _aes(key_id: str) -> AESGCM:
    return AESGCM(sha256(key_id.encode()).digest())


def _bytes(context: dict[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()


@dataclass
class FakeRds:
    """Makes tokens for IAM authentication, each another one, and remembers for whom."""

    asked: list[tuple[str, int, str]] = field(default_factory=list)

    def generate_db_auth_token(self, *, DBHostname: str, Port: int, DBUsername: str) -> str:
        self.asked.append((DBHostname, Port, DBUsername))
        return f"token {len(self.asked)}"


@dataclass
class FakeAws:
    """Stands for `sluice.aws.clients.client`."""

    secretsmanager: FakeSecretsManager = field(default_factory=FakeSecretsManager)
    sqs: FakeSqs = field(default_factory=FakeSqs)
    kms: FakeKms = field(default_factory=FakeKms)
    rds: FakeRds = field(default_factory=FakeRds)

    def client(self, service: str) -> Any:
        return getattr(self, service)


@dataclass
class Context:
    """Lambda's context object, as far as it is used."""

    remaining_seconds: float
    function_name: str = "sluice-test"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:sluice-test"
    aws_request_id: str = "1b2c3d4e-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining_seconds * 1000)


class OpenStore(Protocol):
    """Open a store on a connection of its own, of the logins in the tests' database by default."""

    def __call__(self, stream: type[Stream] = ..., settings: DatabaseSettings | None = ...) -> Store: ...


def write(store: Store, rows: Sequence[MaskedRow], deadline: Deadline) -> tuple[int, int, list[str]]:
    """Write rows and return how many were written, how many were duplicates, and the ids of those that were refused."""
    written, duplicates, refused, *_ = store.write(
        rows,
        [],
        lambda row, rejected: Rejection(row.message_id, "test", rejected.reason, rejected.pointer, {}),
        deadline,
    )
    return written, duplicates, [row.message_id for row, _ in refused]


class Environment:
    """One execution environment of a function: its module, loaded anew, and invoked as often as one likes."""

    def __init__(self, function: str) -> None:
        self._app = _load(function)

    def invoke(self, event: dict[str, Any], remaining_seconds: float = 30.0) -> Any:
        with warnings.catch_warnings():
            # Powertools' remark on an invocation that raises before it counts anything must not replace what it raises.
            warnings.filterwarnings("ignore", message="No application metrics to publish")
            return self._app.lambda_handler(event, Context(remaining_seconds))

    @property
    def store(self) -> Store:
        store: Store = self._app._store()
        return store

    def close(self) -> None:
        if hasattr(self._app, "_store") and self._app._store.cache_info().currsize:
            self.store._database.close()


def _load(function: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{function}_app", FUNCTIONS / function / "app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
