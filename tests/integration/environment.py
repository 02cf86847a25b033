"""Execution environments of Lambda functions. The AWS that they see is in tools/testing/aws."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store
from sluice.settings import DatabaseSettings
from tools.testing.lambda_context import LambdaContext

VAULT_KEY = "arn:aws:kms:eu-central-1:000000000000:key/vault"
FUNCTIONS = Path(__file__).parents[2] / "functions"


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
            return self._app.lambda_handler(event, LambdaContext(remaining_seconds))

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
