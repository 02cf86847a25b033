"""LocalStack on one's own machine, from a wheel, without Docker: its functions run as processes.

`python -m tools.local.localstack migrate` makes the schema of the stack that AWS_ENDPOINT_URL names: LocalStack's
CloudFormation runs no custom resource, and says that it did. `python -m tools.local.localstack fit FILE` changes a
built template without loops: LocalStack deletes what is `RetainExceptOnCreate` with the stack.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import boto3
from botocore.config import Config

from tools.local.emulator import REGION, Emulator
from tools.local.server import NotStarted
from tools.local.stack import STACK_NAME
from tools.project import PROJECT

INSTALLED = PROJECT / ".venv-localstack" / "installed"
EXECUTORS = "localstack.lambda.runtime_executor"
PATIENCE = Config(read_timeout=300, retries={"total_max_attempts": 1})  # seconds: more than the function takes


@dataclass
class LocalStack(Emulator):
    """LocalStack 4.14 with tools/local/executor.py, in an environment of its own: `make .venv-localstack/installed`."""

    executor: str = "process"  # docker is LocalStack's own

    ready_path: ClassVar[str] = "/_localstack/health"

    @property
    def command(self) -> list[str]:
        return [str(INSTALLED.parent / "bin" / "python"), "-m", "localstack.runtime.main"]

    @property
    def settings(self) -> dict[str, str]:
        return {
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY_SERVER": "hypercorn",  # the default one listens on every address, whatever GATEWAY_LISTEN says
            "LOCALSTACK_HOST": f"127.0.0.1:{self.port}",  # in the URLs of queues
            "FILESYSTEM_ROOT": str(self.folder / "root"),
            "OVERRIDE_IN_DOCKER": "0",  # in any container it would write to the folders of its own image
            "DNS_ADDRESS": "0",  # no name server
            "DISABLE_EVENTS": "1",  # it tells nobody that it runs
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing listens there: it fetches nothing else either
            "LAMBDA_RUNTIME_EXECUTOR": self.executor,
            "FUNCTIONS_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(self.folder / "plugins")]),
        }

    def start(self) -> None:
        """Start with no state, in a folder that is empty or missing. Raises NotStarted."""
        # LocalStack finds an executor by the entry point of a package that is installed.
        package = self.folder / "plugins" / "sluice_executor-0.dist-info"
        package.mkdir(mode=0o700, parents=True)
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: sluice-executor\nVersion: 0\n")
        (package / "entry_points.txt").write_text(f"[{EXECUTORS}]\nprocess = tools.local.executor:Plugin\n")
        super().start()


def fit(template: Path) -> None:
    """Have what is retained in a built template without loops be so for LocalStack. It keeps what failed anyway."""
    parsed = json.loads(template.read_text())
    for resource in parsed["Resources"].values():
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"
    template.write_text(json.dumps(parsed))


def migrate(cloudformation: Any, functions: Any) -> None:
    """Bring the deployed stack's schema up to date. Raises NotStarted with what the function says."""
    found = cloudformation.describe_stack_resource(StackName=STACK_NAME, LogicalResourceId="MigrateFunction")
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    answer = functions.invoke(FunctionName=name, Payload=b"{}")
    if "FunctionError" in answer:
        raise NotStarted(f"The schema was not made:\n{answer['Payload'].read().decode()}")


def main() -> int:
    match sys.argv[1:]:
        case ["fit", file]:
            fit(Path(file))
            return 0
        case ["migrate"]:
            return _migrate_deployed()
    print("usage: python -m tools.local.localstack migrate, or fit FILE", file=sys.stderr)
    return 2


def _migrate_deployed() -> int:
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    try:
        migrate(cloudformation, boto3.client("lambda", region_name=REGION, config=PATIENCE))
    except NotStarted as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
