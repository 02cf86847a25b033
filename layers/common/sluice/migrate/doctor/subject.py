"""What is looked at: a database, who works in it, and what for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sluice.declaration.stream import Stream
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import DatabaseSettings


@dataclass(frozen=True)
class Subject:
    """A database, as a stack uses it or is to use it."""

    settings: DatabaseSettings
    streams: Sequence[type[Stream]]
    roles: Mapping[str, str]  # names of the login roles, by what the migrations call them
    connections: int  # that the functions may have open at a time
    is_deployed: bool = False  # else a deployment makes what is missing
    login_by_iam: bool | None = None  # None: nobody has said yet
    keyset: Keyset | None = field(default=None, repr=False)
