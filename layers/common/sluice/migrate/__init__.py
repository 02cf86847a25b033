"""Migrations: the database brought up to date with the code, on every deployment."""
