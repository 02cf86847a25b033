"""What the fakes of all services have in common: calls are remembered, and any call can be made to fail."""

from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

CANARY = "kn4ry"  # no log and no answer may hold the text of an error


def refusal(code: str, operation: str = "Operation") -> ClientError:
    """Return what boto3 raises when a service refuses a call."""
    message = f"{CANARY} arn:aws:account-123456789012"
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass(kw_only=True)
class Service:
    """A service whose calls end with `_call` before they have an effect."""

    before: Callable[[str], None] = lambda operation: None  # is told the name of each call, and may raise
    fails_with: str = ""  # an error code: every call fails with it
    calls: list[str] = field(default_factory=list)

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        self.before(operation)
        if self.fails_with:
            raise refusal(self.fails_with, operation)
