"""pg8000, as far as other rooms use it: a connection, its errors, and names and texts quoted for SQL."""

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, identifier, literal

__all__ = ["Connection", "DatabaseError", "InterfaceError", "identifier", "literal"]
