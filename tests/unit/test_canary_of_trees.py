"""Nothing of an object with any keys leaves the function but what its paths lead to."""

import json
from types import ModuleType
from typing import Annotated, Any

import pytest

from sluice.declaration.masks import Pseudonym, Redact, Truncate
from sluice.declaration.rules import Each, Email, IpAddress, OneOf, Text
from sluice.declaration.stream import Stream
from sluice.declaration.tree import Tree
from tests.unit.fakes import FakePostgres, sqs_record
from tests.unit.test_canary import Exits, assert_no_leak, exits
from tools.testing.lambda_context import LambdaContext

__all__ = ["exits"]


class Tracked(Stream, table="user_logins"):
    """A stream with an object of any keys."""

    user_id: Annotated[str, Text(max=128), Pseudonym()]
    props: Annotated[
        dict[str, Any],
        Tree(
            {
                "/email": (Email(), Pseudonym(recoverable=True)),
                "/plan": OneOf("free"),
                "/**/ip": (IpAddress(), Truncate()),
                "/tags": Each(Text(max=9)),
                "/any/*": Redact(),
            },
            keys=Text(max=9),
            max_depth=9,
        ),
    ]


PROPS: dict[str, Any] = {
    "email": "kn4ry@example.com",
    "kn4ry": {"203.0.113.77": ["kn4ry", {"kn4ry": "kn4ry"}]},
    "tags": ["a"],
    "any": {"a": "kn4ry"},
    "b": {"ip": "203.0.113.77"},
}
BAD_PROPS = {
    "plan": {"plan": "kn4ry"},
    "an object": {"email": {"kn4ry": "203.0.113.77"}},
    "a list": {"kn4ry": [{"ip": {"kn4ry": 1}}]},
    "an element": {"tags": ["a", {"kn4ry": 1}]},
    "a long element": {"tags": ["kn4ry kn4ry"]},
    "a long key": {"kn4ry kn4ry": {"ip": "203.0.113.77"}},
    "a key with NUL": {"any": {"kn4ry\0": 1}},
    "too deep": {"kn4ry": [[[[[[[[[{"ip": "203.0.113.77"}]]]]]]]]]},
    "a list instead": ["kn4ry"],
    "a text": "kn4ry",
}


@pytest.mark.parametrize("props", BAD_PROPS.values(), ids=BAD_PROPS.keys())
def test_an_object_with_any_keys_that_is_refused_leaves_nothing_of_it(
    props: Any, ingest: ModuleType, postgres: FakePostgres, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Tracked)
    body = json.dumps({"user_id": "kn4ry", "props": PROPS | props if isinstance(props, dict) else props})
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(body)]}, LambdaContext()))
    text = exits.text()
    assert '"pointer":"/props' in text
    assert_no_leak(text + repr(postgres.rejections) + repr(postgres.rows))


def test_an_object_with_any_keys_leaves_nothing_that_no_path_leads_to(
    ingest: ModuleType, postgres: FakePostgres, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Tracked)
    body = json.dumps({"user_id": "kn4ry", "props": PROPS})
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(body)]}, LambdaContext()))
    assert "203.0.113.0/24" in repr(postgres.rows)
    assert_no_leak(exits.text() + repr(postgres.rows))
