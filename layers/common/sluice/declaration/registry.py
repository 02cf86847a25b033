"""The registry: the streams by their names, which are those of the modules that declare them."""

from importlib import import_module
from pkgutil import iter_modules

import streams
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError


def load(name: str) -> type[Stream]:
    """Return the stream that the module `streams.<name>` declares. Raises DeclarationError if it is not one."""
    module = import_module(f"streams.{name}")
    declared = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Stream) and member.__module__ == module.__name__
    ]
    if len(declared) != 1:
        raise DeclarationError(f"{module.__name__}: must declare one stream, declares {len(declared)}")
    return declared[0]


def names() -> list[str]:
    """Return the names of all streams: of the modules in `streams`, but for those whose name begins with `_`.

    Such a module holds what several streams share.
    """
    return [module.name for module in iter_modules(streams.__path__) if not module.name.startswith("_")]


def load_all() -> list[type[Stream]]:
    """Return every declared stream. Raises DeclarationError when one of the modules declares none."""
    return [load(name) for name in names()]
