"""The policy of the vault key as the deployed template has it, for a key that the stack was given."""

from collections.abc import Mapping
from typing import Any

from tools.sluice_cli.operators.deployment import Deployment, output

KEY = "VaultKey"


def of_vault_key(deployment: Deployment, key_arn: str) -> dict[str, Any]:
    """Return the policy for a key, with the stack's roles in it. May raise `aws.errors()`.

    It leaves the key to the administrators of the key's own account. Without an ARN it is for the key in use.
    """
    cloudformation = deployment.client("cloudformation")
    deployed = cloudformation.get_template(StackName=deployment.stack, TemplateStage="Processed")["TemplateBody"]
    names = _Names(deployment, key_arn or output(deployment, f"{KEY}Arn"))
    policy: dict[str, Any] = names.resolve(deployed["Resources"][KEY]["Properties"]["KeyPolicy"])
    return policy


class _Names:
    """What the template's references stand for."""

    def __init__(self, deployment: Deployment, key_arn: str) -> None:
        self._deployment = deployment
        _, partition, _, region, account, _ = key_arn.split(":")
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
