"""Parameters of SSM: texts by their names. Every function takes a client of SSM and may raise `aws.errors()`."""

from collections.abc import Mapping
from typing import Any

from sluice.aws import clients


def read(ssm: Any, name: str) -> str | None:
    """Return a parameter's text, or None when there is none."""
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except clients.errors() as error:
        if clients.reason(error) == "ParameterNotFound":
            return None
        raise


def read_below(ssm: Any, path: str) -> Mapping[str, str]:
    """Return the texts of all parameters below a path, by the rest of their names."""
    found: dict[str, str] = {}
    page: dict[str, str] = {}
    while True:
        answer = ssm.get_parameters_by_path(Path=path, Recursive=True, **page)
        found |= {entry["Name"].removeprefix(f"{path}/"): entry["Value"] for entry in answer["Parameters"]}
        if not answer.get("NextToken"):
            return found
        page = {"NextToken": answer["NextToken"]}


def write(ssm: Any, name: str, text: str) -> None:
    """Create a parameter, or replace its text."""
    ssm.put_parameter(Name=name, Value=text, Type="String", Overwrite=True)


def delete(ssm: Any, name: str) -> None:
    """Delete a parameter, if there is one."""
    try:
        ssm.delete_parameter(Name=name)
    except clients.errors() as error:
        if clients.reason(error) != "ParameterNotFound":
            raise
