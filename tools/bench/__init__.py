"""The benchmark: Sluice beside other ways to write the same records, into the same PostgreSQL, in one run."""
