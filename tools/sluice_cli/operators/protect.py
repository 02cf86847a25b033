"""`sluice protect`: whether CloudFormation deletes a stack. `sam deploy` cannot set it."""

from typing import Annotated

import typer

from sluice.aws import clients
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import StackOption
from tools.sluice_cli.terminal import fail


def protect(
    off: Annotated[bool, typer.Option("--off", help="Let the stack be deleted again.")] = False,
    stack: StackOption = "",
) -> None:
    """Have CloudFormation refuse to delete the stack. Deployments go on as before."""
    try:
        target = deployment.deployed(stack)
        cloudformation = target.client("cloudformation")
        cloudformation.update_termination_protection(StackName=target.stack, EnableTerminationProtection=not off)
    except clients.errors() as error:
        fail(deployment.told(error))
    if off:
        print(f"The stack {target.stack} can be deleted: `sluice protect` protects it again.")
    else:
        print(f"The stack {target.stack} is protected: it cannot be deleted until `sluice protect --off`.")
