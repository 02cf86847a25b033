"""The maintenance: partitions are made before they are needed, and what has expired is dropped. Nobody calls it."""
