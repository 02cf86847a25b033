"""Answer CloudFormation once for each event of a custom resource, whatever becomes of the work.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from sluice.deadline import Deadline
from sluice.failures import DeclarationError, Outage
from sluice.migrate.failures import MigrationFailed
from sluice.settings import SettingError
from sluice.telemetry import logger

ANSWER_SECONDS = 20.0  # three tries of 5 seconds to tell CloudFormation, and what goes before them
LONGEST_REASON = 1000  # characters; the whole answer may have 4,096 bytes
# What CloudFormation sends as a text
TEXTS = ("RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId")


class NotACustomResourceEvent(Exception):
    """The event is neither CloudFormation's nor that of a call by hand: says which rule it breaks."""


def answer(
    event: object, physical_id: str, deadline: Deadline, work: Callable[[], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Do the work and tell CloudFormation how it went, at the latest at the deadline. Delete succeeds without any work.

    Someone who calls the function without CloudFormation, with `{}` or nothing, gets what the work returns or raises.
    Raises NotACustomResourceEvent before any work.
    """
    if event is None:
        return work()
    if not isinstance(event, Mapping):
        raise NotACustomResourceEvent("event: must be an object")
    for name in TEXTS:
        if not isinstance(event.get(name, ""), str):
            raise NotACustomResourceEvent(f"event: {name} must be a text")
    if event.get("RequestType") == "Delete":
        if "ResponseURL" in event:
            _send(event, physical_id, "SUCCESS", "nothing to delete: the data stays", {})
        return {}
    if "ResponseURL" not in event:
        return work()
    sending = threading.Lock()
    answered = threading.Event()

    def send(status: str, reason: str, data: Mapping[str, Any]) -> None:
        with sending:  # the second caller waits for the first answer: Lambda freezes a function that has returned
            if not answered.is_set():
                answered.set()
                _send(event, physical_id, status, reason, data)

    if not deadline.allows(0):
        send("FAILED", "out of time", {})
        return {}
    watchdog = threading.Timer(deadline.seconds_left(), send, ("FAILED", "out of time", {}))
    watchdog.daemon = True
    watchdog.start()
    data: Mapping[str, Any] = {}
    try:
        data = work()
        send("SUCCESS", "", data)
    except (DeclarationError, MigrationFailed, Outage, SettingError) as error:
        logger.error("failed", reason=str(error))
        send("FAILED", str(error), {})
    except Exception as error:  # noqa: BLE001 (CloudFormation must hear of it, but its text may hold values)
        logger.error("failed", reason=type(error).__name__)
        send("FAILED", f"internal error, {type(error).__name__}", {})
    finally:
        watchdog.cancel()
    return data


def _send(event: Mapping[str, Any], physical_id: str, status: str, reason: str, data: Mapping[str, Any]) -> None:
    """Put the answer where the event says. Its URL is a credential: it is in no log."""
    body = {
        "Status": status,
        "Reason": reason[:LONGEST_REASON],
        "PhysicalResourceId": physical_id,
        "StackId": event.get("StackId", ""),
        "RequestId": event.get("RequestId", ""),
        "LogicalResourceId": event.get("LogicalResourceId", ""),
        "Data": data,
    }
    for attempts_left in (2, 1, 0):
        try:
            request = Request(event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT")
            with urlopen(request, timeout=5):  # nosec B310  # the address is CloudFormation's own
                return
        except (OSError, HTTPException, ValueError) as error:  # the text of a ValueError quotes the URL
            logger.warning("no answer sent", error=type(error).__name__, attempts_left=attempts_left)
