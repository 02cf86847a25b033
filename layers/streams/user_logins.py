"""Logins: who came with which version of the app, on which device, from where."""

from typing import Annotated

from sluice import IpAddress, Keep, Pseudonym, Stream, Text, Version, version_number


class UserLogin(Stream, table="user_logins", subject="user_id", batch="batch_id", partition="month"):
    """A login event, as the app sends it."""

    user_id: Annotated[str, Text(max=128)]
    device_type: Annotated[str, Text(max=32)]
    ip: Annotated[str, IpAddress(), Pseudonym("masked_ip", recoverable=True)]
    device_id: Annotated[str, Text(max=128), Pseudonym("masked_device_id", recoverable=True)]
    app_version: Annotated[str, Version(), Keep("app_version_text"), Keep("app_version", as_=version_number)]
    locale: Annotated[str | None, Text(max=32)] = None
