"""The breaker: an outage stops a stream's event source mapping, and a good probe starts it again.

A parameter of SSM remembers a trip from before the mapping is disabled until long after it was enabled again. Nobody
can change the two at once. So every tick looks at what the mapping is, not only at what the parameter says: wherever
something ended halfway, or two crossed each other, the next tick goes on from there.
"""
