"""The playground: what becomes of a record that a person types, by a declaration or a change of it."""

from tools.console.playground.routes import TEMPLATES, routes

__all__ = ["TEMPLATES", "routes"]
