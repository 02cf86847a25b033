"""The function forget: it erases persons, and sweeps sealed values that nobody uses."""
