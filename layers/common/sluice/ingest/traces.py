"""The trace header that a producer's message brings. Only the parts in X-Ray's form count.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

HEADER = "AWSTraceHeader"  # the attribute of SQS
MOST = 5  # traces that a log line names

_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})")
_PART = re.compile(rf"{_ROOT.pattern}|Parent=[0-9a-f]{{16}}|Sampled=[01]")


def roots(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the traces that SQS records belong to, each once, and at most `MOST`."""
    headers = dict.fromkeys(header for record in records if (header := record["attributes"].get(HEADER)))
    found = (match[1] for header in headers for part in _parts(header) if (match := _ROOT.fullmatch(part)))
    return list(islice(dict.fromkeys(found), MOST))


def header(attributes: Mapping[str, Any]) -> str | None:
    """Return the header of a message as it may be sent on, or None where it has none."""
    parts = [part for part in _parts(attributes.get(HEADER)) if _PART.fullmatch(part)]
    return ";".join(parts) if any(map(_ROOT.fullmatch, parts)) else None


def _parts(header: object) -> list[str]:
    return header[:256].split(";") if isinstance(header, str) else []
