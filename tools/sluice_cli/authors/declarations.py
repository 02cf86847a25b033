"""The declared streams: find a stream or route by the name that a person typed, and say where its files are."""

from pathlib import Path

from sluice.declaration import registry
from sluice.declaration.registry import names
from sluice.declaration.route import Queued, Route
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from tools.project import PROJECT
from tools.sluice_cli.terminal import USAGE, fail


def stream(name: str) -> type[Stream]:
    """Import the stream that the command line names, or end the command."""
    declared = queued(name)
    if issubclass(declared, Route):
        led_to = ", ".join(stream.stream_name for stream in declared.streams())
        fail(f"{name} is a route: name one of its streams, {led_to}", USAGE)
    return declared


def queued(name: str) -> Queued:
    """Import the stream or the route that the command line names, or end the command."""
    if name not in names():
        fail(f"there is no stream {name}; there are {', '.join(names())}", USAGE)
    try:
        return registry.load_queued(name)
    except DeclarationError as error:
        fail(str(error))


def place(file: Path) -> str:
    """Return where an example or a migration is, as it is opened from the project's folder."""
    if file.is_relative_to(PROJECT):
        return str(file.relative_to(PROJECT))
    return f"layers/streams/{file.parent.name}/{file.name}"
