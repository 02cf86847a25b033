"""How a migration fails."""


class MigrationFailed(Exception):
    """The database could not be brought up to date: says what is wrong, and PostgreSQL's code for why. No value."""
