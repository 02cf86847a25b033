#!/bin/sh
# The function first, then its layers, then the runtime: the order in which Lambda looks for modules.
export PYTHONPATH="/var/task:/opt/python/lib/python3.13/site-packages:/opt/python:/var/runtime"
exec python3.13 -m awslambdaric "$_HANDLER"
