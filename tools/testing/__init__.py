"""What tests the system as a whole: faults, invariants, load."""
