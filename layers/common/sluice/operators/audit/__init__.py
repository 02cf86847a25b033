"""The audit log: appended by every operator's function, listed and verified by the function audit."""
