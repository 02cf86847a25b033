"""The function dead-letters: listed, redriven, purged."""
