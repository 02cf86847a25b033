"""The registry: streams and routes by their names, which are those of the modules that declare them."""

import traceback
from importlib import import_module
from pkgutil import iter_modules

import streams
from sluice.declaration.route import Queued, Route, streams_of
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, DeclarationError


def load(name: str) -> type[Stream]:
    """Return the stream that the module `streams.<name>` declares. Raises DeclarationError if it is not one."""
    declared = load_queued(name)
    if issubclass(declared, Route):
        raise DeclarationError(f"{name}: declares a route, no stream")
    return declared


def load_queued(name: str) -> Queued:
    """Return the stream or the route that the module `streams.<name>` declares. Raises DeclarationError."""
    if name not in names():
        raise DeclarationError(f"{name}: there is no module of this name in the package streams")
    try:
        module = import_module(f"streams.{name}")
    except DeclarationError as error:
        raise DeclarationError(f"{name}: {error}") from None
    except OF_A_USERS_CODE as error:
        raise DeclarationError(f"{name}.py, line {_line(error, name)}: {type(error).__name__}: {error}") from None
    declared = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, (Stream, Route)) and member.__module__ == module.__name__
    ]
    if len(declared) != 1:
        raise DeclarationError(f"{name}: must declare one stream or one route, declares {len(declared)}")
    if issubclass(declared[0], Route):
        _check_destinations(name, declared[0])
    return declared[0]


def names() -> list[str]:
    """Return the names of all streams and routes: of the modules in `streams` whose name does not begin with `_`.

    Such a module holds what several streams share.
    """
    return [module.name for module in iter_modules(streams.__path__) if not module.name.startswith("_")]


def load_all() -> list[type[Stream]]:
    """Return every declared stream. Raises DeclarationError when one of the modules declares neither it nor a route."""
    return [declared for declared in map(load_queued, names()) if not issubclass(declared, Route)]


def load_as_brought() -> list[type[Stream]]:
    """Return every declared stream as each of its queues brings it: its own, and those of routes."""
    return [stream for queued in map(load_queued, names()) for stream in streams_of(queued)]


def _check_destinations(name: str, route: type[Route]) -> None:
    """Raise DeclarationError when a route leads to a stream without a module, whose table nobody would look after."""
    for stream in route.to.values():
        if stream.stream_name not in names() or load(stream.stream_name) is not stream:
            raise DeclarationError(
                f"{name}: {route.__name__} leads to {stream.__name__}, which must be declared in a module of its own"
            )


def _line(error: BaseException, name: str) -> int:
    """Return the line of the stream's module that failed; 0 where it is not known."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename.endswith(f"/{name}.py")), 0)
