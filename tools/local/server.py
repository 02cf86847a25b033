"""What the local servers have in common: a port that is free, and how to say that one did not start."""

import socket

PORT_TRIES = 5  # another program may take a free port before the server does


class NotStarted(Exception):
    """A part of the local stack did not start: says what it is and what its log says."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
