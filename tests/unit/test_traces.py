"""The producers' trace headers: those of X-Ray's form are told and sent on, and nothing else that stands there."""

from typing import Any

import pytest

from sluice.ingest import traces
from tests.unit.fakes import sqs_record

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
HEADER = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"
JUNK = (
    "",
    "kn4ry",
    f"Root={ROOT}kn4ry",
    f"Root={ROOT[:-1]}",
    f"root={ROOT}",
    "Root=1-kn4ry988-bd862e3fe1be46a994272793",
    f"{'x' * 300};Root={ROOT}",
)


def records(*headers: str) -> list[dict[str, Any]]:
    found = [sqs_record("{}", number) for number, _ in enumerate(headers)]
    for record, header in zip(found, headers, strict=True):
        record["attributes"]["AWSTraceHeader"] = header
    return found


def test_a_batch_tells_a_few_traces_each_once() -> None:
    many = [f"Root=1-5759e988-{number:024x}" for number in range(9)]
    assert traces.roots(records(HEADER, "kn4ry", HEADER, f"Self=1-kn4ry;Root={ROOT};Lineage=kn4ry")) == [ROOT]
    assert traces.roots(records(*many, *many)) == [one.removeprefix("Root=") for one in many[:5]]
    assert traces.roots([sqs_record("{}")]) == []


@pytest.mark.parametrize("header", JUNK)
def test_what_is_no_trace_is_neither_told_nor_sent_on(header: str) -> None:
    assert traces.roots(records(header)) == []
    assert traces.header({"AWSTraceHeader": header}) is None


def test_a_header_is_sent_on_without_what_a_producer_added() -> None:
    assert traces.header({"AWSTraceHeader": HEADER}) == HEADER
    assert traces.header({"AWSTraceHeader": f"Self=kn4ry;{HEADER};Lineage=kn4ry;person=kn4ry"}) == HEADER
    assert traces.header({"AWSTraceHeader": "Parent=53995c3f42cd8ad8;Sampled=1"}) is None
    assert traces.header({}) is None
