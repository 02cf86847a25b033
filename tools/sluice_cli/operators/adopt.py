"""`sluice adopt`: a deleted stack is made again around what it left: its queues, and the logs that prove the audit log.

They have names, and CloudFormation makes nothing whose name is taken. So it imports them into a new stack, and the next
deployment adds the rest. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sluice.aws import clients
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment, StackOption
from tools.sluice_cli.terminal import USAGE, fail

QUEUE, LOG_GROUP = "AWS::SQS::Queue", "AWS::Logs::LogGroup"
IDENTIFIERS = {QUEUE: "QueueUrl", LOG_GROUP: "LogGroupName"}
CHANGE_SET = "sluice-adopt"
PATIENCE = {"Delay": 2, "MaxAttempts": 150}  # seconds, and how often


class Left(NamedTuple):
    """What a deleted stack left."""

    logical_id: str
    type: str
    id: str

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2] if self.type == QUEUE else self.id

    @property
    def identifier(self) -> dict[str, str]:
        """What CloudFormation finds it by."""
        return {IDENTIFIERS[self.type]: self.id}

    @property
    def resource(self) -> dict[str, Any]:
        """The resource of a template, with what can never be changed; the next deployment sets the rest."""
        properties: dict[str, Any] = {"LogGroupName": self.name}
        if self.type == QUEUE:
            properties = {"QueueName": self.name} | ({"FifoQueue": True} if self.name.endswith(".fifo") else {})
        return {
            "Type": self.type,
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        }


def adopt(stack: StackOption = "") -> None:
    """Make a deleted stack again around the queues and logs that it left, with what is in them. Then deploy it."""
    deployed = deployment.deployed(stack)
    try:
        cloudformation = deployed.client("cloudformation")
        stacks = _stacks(cloudformation, deployed.stack)
        if {*stacks.values()} - {"DELETE_COMPLETE"}:
            fail(f"the stack {deployed.stack} is there; delete it first if its creation failed", USAGE)
        left = [one for one in _left(cloudformation, stacks) if _is_there(deployed, one)]
        if not left:
            fail(f"no stack {deployed.stack} that was deleted within 90 days has left queues or logs", USAGE)
        _import(cloudformation, deployed.stack, left)
    except clients.errors() as error:
        fail(deployment.told(error))
    for one in left:
        print(f"{one.logical_id}: {one.id}")
    print(f"The stack {deployed.stack} has these. Deploy it now: sam build && sam deploy")


def _stacks(cloudformation: Any, name: str) -> dict[str, str]:
    """Return the status of each stack of that name, also of deleted ones, by id; the newest first."""
    return {
        stack["StackId"]: stack["StackStatus"]
        for page in cloudformation.get_paginator("list_stacks").paginate()
        for stack in page["StackSummaries"]
        if stack["StackName"] == name
    }


def _left(cloudformation: Any, stack_ids: Iterable[str]) -> Iterable[Left]:
    """Return the queues and log groups that these stacks have left. If two have one logical id, the newer counts."""
    found: dict[str, Left] = {}
    for stack_id in stack_ids:
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                if event["ResourceStatus"] == "DELETE_SKIPPED" and event["ResourceType"] in IDENTIFIERS:
                    left = Left(event["LogicalResourceId"], event["ResourceType"], event["PhysicalResourceId"])
                    found.setdefault(left.logical_id, left)
    return found.values()


def _is_there(deployed: Deployment, left: Left) -> bool:
    if left.type == QUEUE:
        urls = deployed.client("sqs").list_queues(QueueNamePrefix=left.name).get("QueueUrls", [])
        return left.name in [url.rpartition("/")[2] for url in urls]
    groups = deployed.client("logs").describe_log_groups(logGroupNamePrefix=left.name)["logGroups"]
    return left.name in [group["logGroupName"] for group in groups]


def _import(cloudformation: Any, stack: str, left: Iterable[Left]) -> None:
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps({"Resources": {one.logical_id: one.resource for one in left}}),
        ResourcesToImport=[
            {"ResourceType": one.type, "LogicalResourceId": one.logical_id, "ResourceIdentifier": one.identifier}
            for one in left
        ],
    )
    cloudformation.get_waiter("change_set_create_complete").wait(
        StackName=stack, ChangeSetName=CHANGE_SET, WaiterConfig=PATIENCE
    )
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=CHANGE_SET)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig=PATIENCE)
