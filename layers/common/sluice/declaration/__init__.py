"""Declarations: what a user says of a stream, and what follows from it for a record."""
