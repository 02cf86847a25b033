"""The function forget: a person's rows and sealed values erased."""
