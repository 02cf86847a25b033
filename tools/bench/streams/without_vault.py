"""The logins of `user_logins`, by its own declaration, but for recovery: none of the other contenders provides it."""

from dataclasses import replace
from typing import Annotated

from sluice import Mask, Pseudonym
from streams.user_logins import UserLogin


def _without_recovery(mask: Mask) -> Mask:
    return replace(mask, recoverable=False) if isinstance(mask, Pseudonym) else mask


class LoginWithoutVault(UserLogin, table=UserLogin.table, subject="user_id"):
    """A login event whose tokens nobody can turn back."""

    __annotations__ = {
        field.name: Annotated[field.rule.makes, field.rule, *map(_without_recovery, field.masks)]
        for field in UserLogin.layout.fields
        if any(isinstance(mask, Pseudonym) and mask.recoverable for mask in field.masks)
    }
