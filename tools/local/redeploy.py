"""Build and deploy what has changed to the stack that the demo has kept; queues, rows and keys stay.

`python -m tools.local.redeploy` exits with 0 only if it is deployed.
"""

import json
import sys

from tools.local.demo import console, step
from tools.local.server import NotStarted
from tools.local.stack import Stack
from tools.project import KEPT


def main() -> int:
    if not KEPT.exists():
        console.print("No stack is kept: `make demo ARGS=--keep` starts one.")
        return 1
    stack = Stack.of_kept(json.loads(KEPT.read_text()))
    if not stack.emulator.runs():
        console.print("The stack that was kept has stopped: `make down`, then `make demo ARGS=--keep`.")
        return 1
    try:
        stack.build_and_deploy(step)
    except NotStarted as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: `make redeploy` goes on with it.")
        return 130
    stack.keep()  # there may be other outputs
    return 0


if __name__ == "__main__":
    sys.exit(main())
