"""The operators' functions: each is called by its URL with a signature, and its answer returned."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args
from urllib.parse import urlsplit

import typer

from sluice.aws import clients
from sluice.aws.queues import Queues, of_stack
from sluice.failures import Outage
from sluice.operators.audit.audit_log import Reason
from sluice.operators.call import FORMS, TICKET
from tools.sluice_cli import kept
from tools.sluice_cli.terminal import REJECTED, USAGE, complain, fail

if TYPE_CHECKING:
    import boto3

ANSWER_SECONDS = 900  # as long as any function may take
STACK = "sluice"
NO_STACK = re.compile(r"Stack\b.* does not exist")  # of CloudFormation
WHERE = "--stack or SLUICE_STACK names one on AWS; AWS_PROFILE, or AWS_DEFAULT_REGION and AWS's keys, say where it is"

StackOption = Annotated[
    str, typer.Option("--stack", help="The deployed stack; by default $SLUICE_STACK, the demo's, or sluice.")
]


def _ticket(text: str) -> str:
    if not TICKET.fullmatch(text):
        raise typer.BadParameter(f"must be {FORMS[TICKET]}")
    return text


ReasonOption = Annotated[
    Reason, typer.Option("--reason", metavar="CODE", help=f"Why: {', '.join(get_args(Reason.__value__))}.")
]
TicketOption = Annotated[
    str,
    typer.Option(
        "--ticket", metavar="ID", help="Where that was decided, such as PRIV-123 or OPS-123.", callback=_ticket
    ),
]


@dataclass(frozen=True)
class Deployment:
    """Where the functions are, and as whom to call them."""

    session: "boto3.Session"
    endpoint_url: str | None  # of an emulator
    stack: str

    @property
    def emulator(self) -> str | None:
        """The address of the emulator that stands for AWS, if one does."""
        return self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of the service."""
        session: Any = self.session  # it knows services by literal names only
        return session.client(service, endpoint_url=self.endpoint_url, **options)


class NotAnswered(Exception):
    """The function did not do what was asked: its own words for it, or those of AWS."""

    def __init__(self, told: str, exit_code: int = REJECTED) -> None:
        super().__init__(told)
        self.exit_code = exit_code


def call(url_output: str, payload: Mapping[str, Any], stack: str = "") -> dict[str, Any]:
    """Call the function whose URL is in that output of the stack, and return its answer.

    Whatever goes wrong ends the command with one line, which has the function's own words for it.
    """
    try:
        return answer(deployed(stack), url_output, payload)
    except NotAnswered as error:
        fail(str(error), error.exit_code)


def answer(deployment: Deployment, url_output: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Call the function whose URL is in that output of the stack, and return its answer. Raises NotAnswered."""
    try:
        status, body = _post(deployment, output(deployment, url_output), payload)
    except clients.errors() as error:
        raise NotAnswered(told(error)) from None
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    said: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
    if status != 200 or not said:
        raise NotAnswered(f"{said.get('detail') or said.get('Message') or 'the function failed'} (HTTP {status})")
    return said


def deployed(stack: str) -> Deployment:
    """Return the deployment that is named, or else that of the demo, where one was kept.

    Where the environment does not say in which region it is, that ends the command.
    """
    import boto3  # slow to import, and most commands call nothing
    from botocore.exceptions import NoRegionError

    stack = stack or os.environ.get("SLUICE_STACK", "")
    found = None if stack else kept.stack()
    if found is None:
        try:
            session = boto3.Session()
            if session.region_name is None:
                raise NoRegionError
        except clients.errors() as error:
            fail(told(error))
        return Deployment(session, None, stack or STACK)
    complain("this is the stack that the demo has kept; --stack names another one")
    return Deployment(kept.session(found), found["endpoint_url"], found["stack_name"])


def told(error: Exception) -> str:
    """Return what is told of a call of AWS that failed; where no stack was found, also what would have named one."""
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError, ProfileNotFound

    text = str(error).rstrip(".")
    if (found := kept.stack()) and isinstance(error, EndpointConnectionError) and found["endpoint_url"] in text:
        return "the stack that the demo has kept has stopped: `make down`, then `make demo ARGS=--keep`"
    is_lost = isinstance(error, NoCredentialsError | NoRegionError | ProfileNotFound) or NO_STACK.search(text)
    none_kept = "" if kept.is_there() else "the demo has kept no stack here, and on AWS none is found: "
    return f"{none_kept}{text}; {WHERE}" if is_lost else text


def queues(deployment: Deployment, stream: str) -> Queues:
    """Return a stream's queues by the stack's parameter of it, or end the command."""
    try:
        found = of_stack(deployment.client("ssm"), deployment.stack)
    except Outage as outage:
        fail(str(outage))
    except clients.errors() as error:  # there are no credentials
        fail(told(error))
    if stream not in found:
        others = ", ".join(sorted(found)) or "none"
        fail(f"the stack {deployment.stack} has no stream {stream}; it has {others}", USAGE)
    return found[stream]


def output(deployment: Deployment, name: str) -> str:
    """Return an output of the stack. Raises NotAnswered where there is none; may raise `aws.errors()`."""
    (stack,) = deployment.client("cloudformation").describe_stacks(StackName=deployment.stack)["Stacks"]
    outputs: dict[str, str] = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if name not in outputs:
        raise NotAnswered(f"the stack {deployment.stack} has no output {name}", USAGE)
    return outputs[name]


def _post(deployment: Deployment, url: str, payload: Mapping[str, Any]) -> tuple[int, bytes]:
    """Post JSON, signed (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html). It is sent once."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import NoCredentialsError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    credentials = deployment.session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    host = urlsplit(url).netloc
    if deployment.emulator:
        url = deployment.emulator  # no name service knows the hosts of its URLs; it looks at the header
    request = AWSRequest(
        "POST", url.rstrip("/") + "/", {"Content-Type": "application/json", "Host": host}, json.dumps(payload).encode()
    )
    region = str(deployment.session.region_name)
    SigV4Auth(credentials.get_frozen_credentials(), "lambda", region).add_auth(request)
    response = URLLib3Session(timeout=ANSWER_SECONDS, proxies=get_environ_proxies(url)).send(request.prepare())
    return response.status_code, response.content
