"""Clients of AWS: quick to give up, because a caller that waits holds a batch and a function's time."""

from functools import cache
from typing import Any


@cache
def client(service: str) -> Any:
    """Return the one client of a service. Its endpoint is AWS's, or that of `AWS_ENDPOINT_URL`."""
    import boto3  # 0.4 s on a small function: not before it is needed
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})  # seconds
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # knows services by literal names only


def reason(error: Exception) -> str:
    """Return why a call failed as one word: the service's error code. The text may hold ids of account and secrets."""
    response = getattr(error, "response", None) or {}  # that of a connection which broke is None
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def errors() -> tuple[type[Exception], ...]:
    """Return what a call may raise: botocore's own errors and those of the service share no base class."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
