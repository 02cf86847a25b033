"""What people run on their own machine. Nothing of it is deployed."""

import sys

from tools.project import STATE

# Not beside the modules: `sam build` would take a folder with new bytecode for a changed layer, and build it for 40 s.
sys.pycache_prefix = str(STATE / "pycache")
