"""`sluice adopt`: a deleted stack is made again around what it left: its queues, and the logs that prove the audit log.

They have names, and CloudFormation makes nothing whose name is taken. So it imports them into a new stack, and the next
deployment adds the rest. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html
"""

import json
from collections.abc import Iterable, Iterator
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
    def identifier(self) -> dict[str, str]:
        """What CloudFormation finds it by."""
        return {IDENTIFIERS[self.type]: self.id}

    @property
    def resource(self) -> dict[str, Any]:
        """The resource of a template, with what can never be changed; the next deployment sets the rest."""
        properties: dict[str, Any] = {"LogGroupName": self.id}
        if self.type == QUEUE:
            name = self.id.rpartition("/")[2]
            properties = {"QueueName": name} | ({"FifoQueue": True} if name.endswith(".fifo") else {})
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
        if deployed.stack in _stacks(cloudformation, deleted=False):
            fail(f"the stack {deployed.stack} is there; delete it first if its creation failed", USAGE)
        left = list(_left(deployed, cloudformation))
        if not left:
            fail(f"no stack {deployed.stack} that was deleted within 90 days has left queues or logs", USAGE)
        _import(cloudformation, deployed.stack, left)
    except clients.errors() as error:
        fail(str(error))
    for one in left:
        print(f"{one.logical_id}: {one.id}")
    print(f"The stack {deployed.stack} has these. Deploy it now: sam build && sam deploy")


def _left(deployed: Deployment, cloudformation: Any) -> Iterator[Left]:
    """Yield the queues and log groups that deleted stacks of this name have left, and that are still there."""
    found: dict[str, Left] = {}
    for stack_id in _stacks(cloudformation, deleted=True).get(deployed.stack, []):  # the newest first
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for one in page["StackEvents"]:
                if one["ResourceStatus"] == "DELETE_SKIPPED" and one["ResourceType"] in IDENTIFIERS:
                    left = Left(one["LogicalResourceId"], one["ResourceType"], one["PhysicalResourceId"])
                    found.setdefault(left.logical_id, left)
    sqs, logs = deployed.client("sqs"), deployed.client("logs")
    for left in found.values():
        if left.type == QUEUE:
            there = sqs.list_queues(QueueNamePrefix=left.id.rpartition("/")[2]).get("QueueUrls", [])
        else:
            groups = logs.describe_log_groups(logGroupNamePrefix=left.id)["logGroups"]
            there = [group["logGroupName"] for group in groups]
        if left.id in there:
            yield left


def _stacks(cloudformation: Any, deleted: bool) -> dict[str, list[str]]:
    """Return the ids of all stacks by their name."""
    found: dict[str, list[str]] = {}
    for page in cloudformation.get_paginator("list_stacks").paginate():
        for stack in page["StackSummaries"]:
            if (stack["StackStatus"] == "DELETE_COMPLETE") == deleted:
                found.setdefault(stack["StackName"], []).append(stack["StackId"])
    return found


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
