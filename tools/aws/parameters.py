"""The outputs of a stack, as parameters of another one.

`python -m tools.aws.parameters STACK` prints them as `sam deploy --parameter-overrides` takes them.
"""

import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def of(stack: str) -> list[str]:
    """Return `name=value` of each output of a stack. Raises BotoCoreError or ClientError."""
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return [f"{output['OutputKey']}={output['OutputValue']}" for output in found.get("Outputs", [])]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.aws.parameters STACK", file=sys.stderr)
        return 2
    try:
        print(*of(sys.argv[1]))
    except (BotoCoreError, ClientError) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
