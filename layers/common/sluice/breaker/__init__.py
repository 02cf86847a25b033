"""The breaker: an outage opens it and stops a stream's event source mapping; a good probe starts the mapping again.

Its states are those of every circuit breaker (https://martinfowler.com/bliki/CircuitBreaker.html):

- closed: messages flow.
- open: the mapping is disabled, and a probe every minute tells whether what failed works again.
- half-open: a good probe has enabled the mapping again, and it is not trusted yet. An hour of quiet closes the breaker;
  an outage within that hour opens it for longer than before.

A parameter of SSM holds the record of a breaker that is not closed. The record is written before the mapping is
disabled. Nobody can change both at once, so every tick looks at the mapping too, not only at the record. If a step
ended halfway, or two steps crossed, the next tick goes on from there.
"""
