"""A fake account over HTTP, in the protocols that boto3 speaks: JSON with a target, and Lambda's paths."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore import xform_name
from botocore.exceptions import ClientError

from tools.testing import http_server
from tools.testing.aws.account import FakeAws
from tools.testing.http_server import Answer, Request

TARGETS = {"secretsmanager": "secretsmanager", "TrentService": "kms", "AmazonSQS": "sqs", "AmazonSSM": "ssm"}
MAPPINGS = re.compile("/2015-03-31/event-source-mappings/?([^/]*)$")


def answer(account: FakeAws, request: Request) -> Answer:
    """Call the fake that a request means. An error quotes the whole request, as those of AWS may."""
    asked = json.loads(request.body or "{}")
    try:
        if request.target:
            service, _, operation = request.target.partition(".")
            told = getattr(account.client(TARGETS[service]), xform_name(operation))(**_from_json(asked))
        else:
            told = _answer_of_lambda(account, request, asked)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _json(400, {"__type": code, "message": f"{error}: {json.dumps(asked)}"})
    return _json(200, told)


@contextmanager
def serving(account: FakeAws) -> Iterator[str]:
    """Answer on a free port of 127.0.0.1; yields the endpoint."""
    with http_server.serving(lambda request: answer(account, request)) as endpoint_url:
        yield endpoint_url


def _answer_of_lambda(account: FakeAws, request: Request, asked: dict[str, Any]) -> dict[str, Any]:
    url = urlsplit(request.path)
    found = MAPPINGS.match(url.path)
    assert found, request.path
    if uuid := unquote(found[1]):
        if request.method == "PUT":
            return dict(account.mappings.update_event_source_mapping(UUID=uuid, **asked))
        return dict(account.mappings.get_event_source_mapping(UUID=uuid))
    names = {name: value for name, (value,) in parse_qs(url.query).items()}
    return account.mappings.list_event_source_mappings(**names)


def _from_json(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: b64decode(value) if name == "CiphertextBlob" else value for name, value in asked.items()}


def _json(status: int, told: dict[str, Any]) -> Answer:
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told, default=_to_json).encode())


def _to_json(value: object) -> str | float:
    if isinstance(value, datetime):
        return value.timestamp()
    assert isinstance(value, bytes), type(value)
    return b64encode(value).decode()
