"""Lambda's context object, as far as the functions read it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class LambdaContext:
    """An invocation's context. Its time stands still unless it gets a clock."""

    remaining_seconds: float = 60.0
    function_name: str = "sluice"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:sluice"
    aws_request_id: str = "52fdfc07-2182-454f-963f-5f0f9a621d72"
    clock: Callable[[], float] = lambda: 0.0  # seconds

    def __post_init__(self) -> None:
        self._ends_at = self.clock() + self.remaining_seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends_at - self.clock()) * 1000))
