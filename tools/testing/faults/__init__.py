"""The ingest function as a process, and all that it depends on, to be broken from outside: by fault tests and soak."""
