"""The rights of a new role: it takes seconds until all of AWS knows them."""

import time
from collections.abc import Callable

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.telemetry import logger

DENIED = "secrets manager: AccessDeniedException"  # also where KMS denies it the secret's key
LONGEST_SECONDS = 60
PAUSE_SECONDS = 5


def wait_for[T](work: Callable[[], T], deadline: Deadline) -> T:
    """Do the work, and do it again while AWS denies it a secret: for a minute at most. Raises what the work raises."""
    last = deadline.within(LONGEST_SECONDS)
    while True:
        try:
            return work()
        except Outage as outage:
            if str(outage) != DENIED or not last.allows(PAUSE_SECONDS):
                raise
            logger.warning("access denied: trying again", why=str(outage), seconds_left=round(last.seconds_left()))
            time.sleep(PAUSE_SECONDS)
