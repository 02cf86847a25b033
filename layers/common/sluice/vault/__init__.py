"""The vault: sealed values, and the erasures that everybody who writes rows has to heed."""
