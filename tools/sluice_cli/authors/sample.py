"""`sluice sample`: makes up records as a stream's producers would send them."""

import random
from datetime import UTC, datetime
from typing import Annotated

import typer

from sluice.declaration.route import head_of
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, envelopes
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.route_generator import maker

SEEDED = datetime(2026, 1, 1, 12, tzinfo=UTC)  # the same seed makes the same records, whenever that is


def sample(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    count: Annotated[int, typer.Option(min=1, help="How many records.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same records.")] = None,
) -> None:
    """Print example records, one in each line, in the stream's envelope. The stream takes every one of them.

    A rule of your own gives values like its `example`.

    E-mail addresses, phone numbers and IP addresses are from ranges that are reserved for examples.
    """
    declared = declarations.queued(stream)
    generator = maker(declared, random.Random(seed), None if seed is None else SEEDED)  # nosec B311  # no secret
    make = generator.body
    if own := envelopes.of_ones_own(head_of(declared)):
        terminal.complain(f"sample: {own} is of your own: these are the records without it")
        make = generator.record
    try:
        for number in range(count):
            print(make(is_complete=number == 0))
    except NotGenerated as error:
        terminal.fail(f"sample: {error}")
