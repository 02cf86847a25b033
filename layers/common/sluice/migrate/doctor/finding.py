"""Findings: what was looked at, how it is, and what to do."""

from typing import Literal

import msgspec

type Severity = Literal["good", "unknown", "warns", "fails"]


class Finding(msgspec.Struct, frozen=True):
    """A sentence about one thing. It holds names, codes and counts: no value of a row, and no secret.

    Without advice the sentence may be the text of an outage, of which the runbook tells what to do.
    """

    area: str
    severity: Severity  # `unknown`: it was not looked at, and the sentence says why
    sentence: str
    thing: str = ""
    advice: str = ""
