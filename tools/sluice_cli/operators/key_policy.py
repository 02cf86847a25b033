"""The policy of the vault key as the deployed template has it, for a key that the stack was given."""

from collections.abc import Mapping
from typing import Any

from tools.sluice_cli.operators.deployment import Deployment, output

KEY = "VaultKey"


def of_vault_key(deployment: Deployment) -> dict[str, Any]:
    """Return the key policy with the stack's own roles in it. Its account is the key's. May raise `aws.errors()`."""
    cloudformation = deployment.client("cloudformation")
    deployed = cloudformation.get_template(StackName=deployment.stack, TemplateStage="Processed")["TemplateBody"]
    policy: dict[str, Any] = _Names(deployment).resolve(deployed["Resources"][KEY]["Properties"]["KeyPolicy"])
    return policy


class _Names:
    """What the template's references stand for."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        _, partition, _, region, account, _ = output(deployment, f"{KEY}Arn").split(":")
        self._pseudo: Mapping[str, str] = {
            "AWS::StackName": deployment.stack,
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::AccountId": account,
        }

    def resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": name}:
                return self._pseudo[name]
            case {"Fn::GetAtt": [role, "Arn"]}:
                return self._arn(role)
            case {"Fn::Sub": text}:
                for name, meant in self._pseudo.items():
                    text = text.replace(f"${{{name}}}", meant)
                return text
            case dict():
                return {name: self.resolve(member) for name, member in value.items()}
            case list():
                return [self.resolve(member) for member in value]
        return value

    def _arn(self, role: str) -> str:
        cloudformation, iam = self._deployment.client("cloudformation"), self._deployment.client("iam")
        found = cloudformation.describe_stack_resource(StackName=self._deployment.stack, LogicalResourceId=role)
        return str(iam.get_role(RoleName=found["StackResourceDetail"]["PhysicalResourceId"])["Role"]["Arn"])
