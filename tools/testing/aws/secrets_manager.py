"""Secrets Manager: secrets by id, and when each was put."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tools.testing.aws.service import Service, refusal

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeSecretsManager(Service):
    """Holds secrets by id, and remembers which were read."""

    secrets: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    put_at: dict[str, datetime] = field(default_factory=dict)  # by id; what a test has set was there long ago

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:
        self._call("GetSecretValue")
        self.reads.append(SecretId)
        if SecretId not in self.secrets:
            raise refusal("ResourceNotFoundException", "GetSecretValue")
        return {
            "Name": SecretId,
            "SecretString": self.secrets[SecretId],
            "CreatedDate": self.put_at.get(SecretId, LONG_AGO),
        }

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> dict[str, str]:
        self._call("PutSecretValue")
        self.secrets[SecretId] = SecretString
        self.put_at[SecretId] = datetime.now(UTC)
        return {"VersionId": str(uuid4())}

    def put_credentials(self, secret_id: str, username: str, password: str) -> None:
        """Put a login as RDS writes it; this is no call."""
        self.secrets[secret_id] = json.dumps({"username": username, "password": password})
