"""The site: the deployed stack that the console shows, and what it may read and change of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from tools.local.stack import Stack
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment, NotAnswered
from tools.sluice_cli.sqlstates import named

QUERY_SECONDS = 5


class Unavailable(Exception):
    """What a view needs cannot be had: says why, and what to do. It holds no value of a record."""


@dataclass(frozen=True)
class Site:
    """A deployed stack. Without a database its tables are not shown."""

    deployment: Deployment
    database: Database | None
    embedded: Stack | None  # the stack of this machine, if it is that
    may_change: bool
    _making: Lock = field(default_factory=Lock, repr=False)  # a session makes one client at a time
    _reading: Lock = field(default_factory=Lock, repr=False)  # a database has one connection

    @property
    def name(self) -> str:
        return self.deployment.stack

    @property
    def is_embedded(self) -> bool:
        return self.embedded is not None

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator stands for AWS: it keeps no metrics."""
        return self.deployment.emulator is not None

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def client(self, service: str) -> Any:
        """Return the one boto3 client of a service; clients may be used by several threads."""
        from botocore.config import Config

        quick = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
        with self._making:
            if service not in self._clients:
                self._clients[service] = self.deployment.client(service, config=quick)
            return self._clients[service]

    def read[T](self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads of the database, in a transaction that is rolled back. Raises Unavailable."""
        if self.database is None:
            raise Unavailable(
                "The tables are not read: sluice console --database postgresql://user@host/name says where they are."
            )
        with self._reading:
            try:
                return self.database.transact(work, Deadline(time.monotonic() + QUERY_SECONDS), undo=True)
            except Outage as outage:
                raise Unavailable(named(f"The database does not answer: {outage}.")) from None

    def ask(self, url_output: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of an operator's function, called with one's own rights. Raises Unavailable."""
        try:
            return deployment.answer(self.deployment, url_output, payload)
        except NotAnswered as error:
            raise Unavailable(named(f"The function did not answer: {error}.")) from None

    def aws[T](self, work: Callable[[], T]) -> T:
        """Return what `work` gets by calls of AWS. Raises Unavailable."""
        try:
            return work()
        except Outage as outage:
            raise Unavailable(f"AWS does not answer: {outage}.") from None
        except clients.errors() as error:
            reason = clients.reason(error)
            if reason in ("AccessDenied", "AccessDeniedException"):
                raise Unavailable(f"Your rights do not allow this: {_operation(error)}.") from None
            raise Unavailable(f"AWS does not answer: {reason}.") from None


def _operation(error: Exception) -> str:
    """Return the call that was refused, such as GetQueueAttributes."""
    return str(getattr(error, "operation_name", "") or clients.reason(error))
