"""Sluice: JSON records from SQS in, personal data masked, rows in PostgreSQL out."""
