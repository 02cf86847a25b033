"""Your streams: a module each, named like its stream. A module whose name begins with `_` holds what several share.

`migrations/` makes their tables; your own numbers begin at 1000. `examples/` says what records must become, for
`sluice test`, and is not deployed. An update of Sluice changes nothing here.
"""
