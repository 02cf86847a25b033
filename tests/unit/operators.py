"""A deployment as the operators' commands find and call it: CloudFormation and the functions' URLs, on one port."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

HOST = "x7q2m4k9w1c5v8b3n6p0r2t4y7u1i5o9.lambda-url.eu-central-1.on.aws"
OUTPUTS = dict.fromkeys(("RevealUrl", "AuditUrl", "ForgetUrl", "RekeyUrl"), f"https://{HOST}/")


@dataclass
class FakeDeployment:
    """Answers every signed call of a URL with `answer`, and remembers the requests."""

    answer: tuple[int, Mapping[str, Any] | bytes] = (200, {"done": True})
    outputs: Mapping[str, str] = field(default_factory=lambda: OUTPUTS)
    stacks: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)

    def respond(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        if headers["Host"] == HOST:
            self.headers.append(headers)
            self.requests.append(json.loads(body))
            status, answer = self.answer
            return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        (stack,) = parse_qs(body.decode())["StackName"]
        self.stacks.append(stack)
        return 200, self._described(stack).encode()

    def _described(self, stack: str) -> str:
        outputs = "".join(
            f"<member><OutputKey>{name}</OutputKey><OutputValue>{escape(value)}</OutputValue></member>"
            for name, value in self.outputs.items()
        )
        described = (
            f"<StackName>{stack}</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
            f"<CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>{outputs}</Outputs>"
        )
        return (
            '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
            f"<Stacks><member>{described}</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        )
