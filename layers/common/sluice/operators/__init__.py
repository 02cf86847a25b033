"""What operators call: each by a signed call of its function's URL, each with its row in the audit log."""
