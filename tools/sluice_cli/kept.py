"""The stack that the demo has left running on this machine, where there is one."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tools.project import KEPT

if TYPE_CHECKING:
    import boto3


def is_there() -> bool:
    """Tell whether there is one, whatever the environment names."""
    return KEPT.exists()


def stack() -> dict[str, Any] | None:
    """Return how to talk to the stack, unless there is none or the environment names another one."""
    if os.environ.get("SLUICE_STACK") or os.environ.get("AWS_ENDPOINT_URL") or not is_there():
        return None
    kept: dict[str, Any] = json.loads(KEPT.read_text())
    return kept


def session(kept: Mapping[str, Any]) -> "boto3.Session":
    import boto3  # slow to import, and most commands call nothing

    return boto3.Session(
        aws_access_key_id=kept["access_key_id"],
        aws_secret_access_key=kept["secret_access_key"],
        region_name=kept["region"],
    )
