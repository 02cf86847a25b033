"""The registry: the streams by their names, which are those of the modules that declare them."""

import traceback
from importlib import import_module
from pkgutil import iter_modules

import streams
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, DeclarationError


def load(name: str) -> type[Stream]:
    """Return the stream that the module `streams.<name>` declares. Raises DeclarationError if it is not one."""
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
        if isinstance(member, type) and issubclass(member, Stream) and member.__module__ == module.__name__
    ]
    if len(declared) != 1:
        raise DeclarationError(f"{name}: must declare one stream, declares {len(declared)}")
    return declared[0]


def names() -> list[str]:
    """Return the names of all streams: of the modules in `streams`, but for those whose name begins with `_`.

    Such a module holds what several streams share.
    """
    return [module.name for module in iter_modules(streams.__path__) if not module.name.startswith("_")]


def load_all() -> list[type[Stream]]:
    """Return every declared stream. Raises DeclarationError when one of the modules declares none."""
    return [load(name) for name in names()]


def _line(error: BaseException, name: str) -> int:
    """Return the line of the stream's module that failed; 0 where it is not known."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename.endswith(f"/{name}.py")), 0)
