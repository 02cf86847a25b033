"""The settings of a deployed stack's functions, as `sam local invoke --env-vars` reads them.

`python -m tools.local.functions ENDPOINT_URL` prints them, for the stack that AWS_ENDPOINT_URL names. SAM runs a
function in a container and knows no resource of the stack. ENDPOINT_URL is where that container finds AWS. The settings
name secrets and hold none.
"""

import json
import sys
from typing import Any

import boto3

from tools.local.emulator import REGION
from tools.local.stack import STACK_NAME

FUNCTION = "AWS::Lambda::Function"


def settings(cloudformation: Any, functions: Any, endpoint_url: str) -> dict[str, dict[str, str]]:
    """Return the environment of each function of the stack, by the function's name in the template."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
    names = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == FUNCTION
    }
    return {
        logical: {
            **functions.get_function_configuration(FunctionName=physical)["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": endpoint_url,
        }
        for logical, physical in names.items()
    }


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.functions ENDPOINT_URL", file=sys.stderr)
        return 2
    clients = (boto3.client("cloudformation", region_name=REGION), boto3.client("lambda", region_name=REGION))
    print(json.dumps(settings(*clients, sys.argv[1]), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
