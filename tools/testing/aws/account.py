"""An account of AWS: all services that the functions call."""

from dataclasses import dataclass, field
from typing import Any

from tools.testing.aws.kms import FakeKms
from tools.testing.aws.mappings import FakeMappings
from tools.testing.aws.s3 import FakeS3
from tools.testing.aws.secrets_manager import FakeSecretsManager
from tools.testing.aws.service import Service
from tools.testing.aws.sqs import FakeSqs
from tools.testing.aws.ssm import FakeParameters


@dataclass
class FakeRds(Service):
    """Makes tokens for IAM authentication, each another one, and remembers for whom."""

    asked: list[tuple[str, int, str]] = field(default_factory=list)

    def generate_db_auth_token(self, *, DBHostname: str, Port: int, DBUsername: str) -> str:
        self._call("GenerateDBAuthToken")
        self.asked.append((DBHostname, Port, DBUsername))
        return f"token {len(self.asked)}"


@dataclass
class FakeAws:
    """Stands for `sluice.aws.clients.client`; tools/testing/aws/http.py serves it to other processes."""

    secretsmanager: FakeSecretsManager = field(default_factory=FakeSecretsManager)
    kms: FakeKms = field(default_factory=FakeKms)
    sqs: FakeSqs = field(default_factory=FakeSqs)
    ssm: FakeParameters = field(default_factory=FakeParameters)
    mappings: FakeMappings = field(default_factory=FakeMappings)
    rds: FakeRds = field(default_factory=FakeRds)
    s3: FakeS3 = field(default_factory=FakeS3)

    def client(self, service: str) -> Any:
        return self.services[service]

    @property
    def services(self) -> dict[str, Service]:
        """Return the services by the names that boto3 gives them."""
        return {
            "secretsmanager": self.secretsmanager,
            "kms": self.kms,
            "sqs": self.sqs,
            "ssm": self.ssm,
            "lambda": self.mappings,
            "rds": self.rds,
            "s3": self.s3,
        }

    def fail_with(self, code: str) -> None:
        """Have every call fail with this error code, or none with an empty one."""
        for service in self.services.values():
            service.fails_with = code
