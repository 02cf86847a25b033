"""`sluice adopt` makes a deleted stack again around what it left."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.cli import run
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.service import refusal

QUEUE = "http://sqs/123456789012/login-queue"
FIFO = "http://sqs/123456789012/order-queue.fifo"
TRAIL = "/sluice/sluice/reveal"


def event(logical_id: str, kind: str, physical_id: str, status: str = "DELETE_SKIPPED") -> dict[str, str]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": kind,
        "PhysicalResourceId": physical_id,
        "ResourceStatus": status,
    }


class Account:
    """What an account has of stacks, queues and log groups, as a session of boto3 has it."""

    def __init__(self) -> None:
        self.statuses = {"old": "DELETE_COMPLETE"}  # of stacks with the name sluice, by id; the newest first
        self.events = {
            "old": [
                event("LoginsQueue", "AWS::SQS::Queue", QUEUE),
                event("OrdersQueue", "AWS::SQS::Queue", FIFO),
                event("RevealLogGroup", "AWS::Logs::LogGroup", TRAIL),
                event("IngestLogGroup", "AWS::Logs::LogGroup", "/sluice/sluice/ingest", "DELETE_COMPLETE"),
                event("StorageKey", "AWS::KMS::Key", "1234"),
            ]
        }
        self.queues, self.groups = [QUEUE, FIFO, f"{QUEUE}-dlq"], [TRAIL, f"{TRAIL}ed"]
        self.change_sets: list[dict[str, Any]] = []
        self.steps: list[str] = []
        self.refuses = ""

    def client(self, service: str, *, endpoint_url: str | None) -> Any:
        return {
            "cloudformation": SimpleNamespace(
                get_paginator=lambda operation: SimpleNamespace(paginate=getattr(self, operation)),
                create_change_set=self.create_change_set,
                get_waiter=lambda name: SimpleNamespace(wait=lambda **options: self.steps.append(name)),
                execute_change_set=lambda **options: self.steps.append("execute"),
            ),
            "sqs": SimpleNamespace(list_queues=self.list_queues),
            "logs": SimpleNamespace(describe_log_groups=self.describe_log_groups),
        }[service]

    def list_stacks(self) -> list[Any]:
        if self.refuses:
            raise refusal(self.refuses)
        return [
            {"StackSummaries": [{"StackName": "sluice", "StackId": one, "StackStatus": status}]}
            for one, status in self.statuses.items()
        ]

    def describe_stack_events(self, *, StackName: str) -> list[Any]:
        return [{"StackEvents": self.events[StackName]}]

    def create_change_set(self, **options: Any) -> None:
        self.change_sets.append(options)

    def list_queues(self, *, QueueNamePrefix: str) -> dict[str, Any]:
        found = [url for url in self.queues if url.rpartition("/")[2].startswith(QueueNamePrefix)]
        return {"QueueUrls": found} if found else {}

    def describe_log_groups(self, *, logGroupNamePrefix: str) -> dict[str, Any]:
        return {"logGroups": [{"logGroupName": one} for one in self.groups if one.startswith(logGroupNamePrefix)]}

    @property
    def imported(self) -> dict[str, dict[str, str]]:
        return {
            one["LogicalResourceId"]: one["ResourceIdentifier"]
            for options in self.change_sets
            for one in options["ResourcesToImport"]
        }


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account()
    session: Any = account
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, None, stack or "sluice"))
    return account


def test_queues_and_logs_are_imported_with_what_can_never_be_changed(account: Account) -> None:
    code, output, errors = run("adopt")
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        f"LoginsQueue: {QUEUE}",
        f"OrdersQueue: {FIFO}",
        f"RevealLogGroup: {TRAIL}",
        "The stack sluice has these. Deploy it now: sam build && sam deploy",
    ]
    (options,) = account.change_sets
    assert (options["StackName"], options["ChangeSetType"]) == ("sluice", "IMPORT")
    resources = json.loads(options["TemplateBody"])["Resources"]
    assert {name: one["Properties"] for name, one in resources.items()} == {
        "LoginsQueue": {"QueueName": "login-queue"},
        "OrdersQueue": {"QueueName": "order-queue.fifo", "FifoQueue": True},
        "RevealLogGroup": {"LogGroupName": TRAIL},
    }
    assert {one["DeletionPolicy"] for one in resources.values()} == {"RetainExceptOnCreate"}
    assert account.imported == {
        "LoginsQueue": {"QueueUrl": QUEUE},
        "OrdersQueue": {"QueueUrl": FIFO},
        "RevealLogGroup": {"LogGroupName": TRAIL},
    }
    assert account.steps == ["change_set_create_complete", "execute", "stack_import_complete"]


def test_what_is_gone_is_not_imported(account: Account) -> None:
    account.queues.remove(QUEUE)
    account.groups.remove(TRAIL)
    assert run("adopt")[0] == 0
    assert account.imported.keys() == {"OrdersQueue"}


def test_of_several_deleted_stacks_each_left_something_and_the_newest_counts(account: Account) -> None:
    account.statuses = {"failed": "DELETE_COMPLETE", "new": "DELETE_COMPLETE", "old": "DELETE_COMPLETE"}
    account.events |= {"failed": [], "new": [event("LoginsQueue", "AWS::SQS::Queue", f"{QUEUE}-dlq")]}
    assert run("adopt")[0] == 0
    assert account.imported["LoginsQueue"] == {"QueueUrl": f"{QUEUE}-dlq"}
    assert account.imported.keys() == {"LoginsQueue", "OrdersQueue", "RevealLogGroup"}


def gone(account: Account) -> None:
    account.queues.clear()
    account.groups.clear()


def failed(account: Account) -> None:
    account.statuses = {"failed": "ROLLBACK_COMPLETE", **account.statuses}


def forbidden(account: Account) -> None:
    account.refuses = "AccessDenied"


@pytest.mark.parametrize(
    ("prepare", "code", "error"),
    [
        (gone, 2, "sluice: no stack sluice that was deleted within 90 days has left queues or logs\n"),
        (failed, 2, "sluice: the stack sluice is there; delete it first if its creation failed\n"),
        (forbidden, 1, "sluice: An error occurred (AccessDenied)"),
    ],
)
def test_otherwise_nothing_is_imported(
    prepare: Callable[[Account], None], code: int, error: str, account: Account
) -> None:
    prepare(account)
    found, output, errors = run("adopt")
    assert (found, output, errors.startswith(error), account.change_sets) == (code, "", True, [])
