"""`sluice check`: tells where streams, migrations, examples and template do not fit together."""

from collections.abc import Iterator
from time import monotonic
from typing import Annotated

import typer

from sluice.deadline import Deadline
from sluice.declaration import registry
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.registry import names
from sluice.declaration.route import Queued, Route, head_of, streams_of
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError, Outage
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from tools.sluice_cli import databases, terminal
from tools.sluice_cli.authors import contract, embedded, examples, marks, messages, older_rows, template, throwaway
from tools.sluice_cli.authors import revision as git
from tools.sluice_cli.authors.contract import Change
from tools.sluice_cli.authors.findings import Findings
from tools.sluice_cli.authors.messages import Unreadable
from tools.sluice_cli.authors.older_rows import Left
from tools.sluice_cli.authors.revision import NotThere
from tools.sluice_cli.databases import URL, GivenDatabase
from tools.sluice_cli.sqlstates import named

SECONDS = 60  # for all of the migrations


def check(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Compare with this database instead, and change nothing in it: {URL}"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Tell what producers and readers would notice since a revision of git."),
    ] = None,
) -> None:
    """Import every stream, run the migrations on a PostgreSQL of its own, and compare each stream with its table.

    Each stream must have a word in template.yaml, and each word a stream.

    The check also runs the examples, as `sluice test` does.

    If a column keeps in the clear what looks like personal data in an example, that is a warning.

    It needs no stack and no AWS, and leaves nothing behind.
    """
    given = databases.given(database, "sluice-check") if database else None
    from tools.local.server import NotStarted  # the embedded server is for this command alone

    started = monotonic()
    declared, errors = _declared()
    streams = {name: one for name, one in declared.items() if not issubclass(one, Route)}
    routes = {name: one for name, one in declared.items() if issubclass(one, Route)}
    changes, left = _changes(against, declared) if against and not errors else (None, [])
    versions: Versions | None = None
    not_applied: list[str] = []
    if not errors:
        try:
            if given:
                not_applied, found = _compare(given, streams)
                errors += found
            else:
                versions = _migrate()
        except (MigrationFailed, Outage, NotStarted) as error:
            errors += str(error).splitlines()
    unfit = [stream for stream in streams.values() if not given and _begins(errors, f"{stream.__name__}: ")]
    advice = [_of_table(stream) for stream in unfit]
    for name, one in declared.items():
        if found := examples.differences(name, one, throwaway.keyset()):
            errors += found
            advice.append(examples.advice(name))
    routed = {stream.stream_name for route in routes.values() for stream in route.streams()}
    errors += [*marks.unconfirmed(), *template.misfits(names(), routed), *template.large_batches(declared)]
    warnings = [warning for name, one in declared.items() for warning in _warnings(name, one)]
    if as_json:
        told_streams = [
            {"stream": name, "table": stream.table, "columns": _column_count(stream)}
            for name, stream in streams.items()
        ]
        told = versions and {"schema_version": versions.product, "streams_version": versions.streams}
        of_database = {"not_applied": not_applied} if given else {"versions": told}
        found_by_look = {"warnings": warnings, "errors": errors}
        told_routes = [{"route": name, "streams": _led_to(route)} for name, route in routes.items()]
        of_routes = {"routes": told_routes} if told_routes else {}
        terminal.show_json(
            {"streams": told_streams, **of_routes, **of_database, **_changed(changes, left), **found_by_look}
        )
    else:
        _show(streams, routes, warnings, errors, monotonic() - started, not_applied if given else None)
        for sentence in advice:
            terminal.note(sentence)
        _show_changes(changes, left, against)
    is_breaking = any(change.is_breaking for change in changes or [])
    raise typer.Exit(terminal.REJECTED if errors or is_breaking else 0)


def _begins(errors: list[str], beginning: str) -> bool:
    return any(error.startswith(beginning) for error in errors)


def _of_table(stream: type[Stream]) -> str:
    """Return what to do where a stream does not fit its table."""
    return f"`sluice migration {stream.stream_name} --write` writes the SQL that the table {stream.table} lacks."


def _compare(database: GivenDatabase, streams: dict[str, type[Stream]]) -> schema.Comparison:
    """Compare a database that is there with the streams. Raises what `schema.compare` raises."""
    try:
        return schema.compare(database, list(streams.values()), Deadline(monotonic() + SECONDS))
    finally:
        database.close()


def _declared() -> tuple[dict[str, Queued], list[str]]:
    """Return the streams and routes by name, and what is wrong with those that cannot be imported."""
    declared: dict[str, Queued] = {}
    errors: list[str] = []
    for name in names():
        try:
            declared[name] = registry.load_queued(name)
        except DeclarationError as error:
            errors.append(str(error))
    return declared, errors


def _changes(revision: str, declared: dict[str, Queued]) -> tuple[list[Change], list[tuple[str, Left]]]:
    """Return what has changed since a revision, and what that leaves in the rows that are there.

    A revision that is not there ends the command.
    """
    try:
        old = git.contracts(revision)
    except NotThere as error:
        terminal.fail(f"--against: {error}", terminal.USAGE)
    if old is None:
        return [Change(False, f"{revision} has no streams, so there is nothing to compare with")], []
    new = {name: contract.of_queued(one) for name, one in declared.items()}
    return contract.compare(old, new), older_rows.compare(old, new)


def _changed(changes: list[Change] | None, left: list[tuple[str, Left]]) -> dict[str, object]:
    if changes is None:
        return {}
    kinds = {"breaking": True, "additions": False}
    told = {name: [change.sentence for change in changes if change.is_breaking == kind] for name, kind in kinds.items()}
    return told | {"older_rows": [{"stream": name, **one._asdict()} for name, one in left]}


def _migrate() -> Versions:
    """Return the versions that the migrations lead to. Raises what `schema.migrate` raises, and NotStarted."""
    with embedded.database() as database:
        return schema.migrate(database, throwaway.roles(), throwaway.keyset(), Deadline(monotonic() + SECONDS))


def _warnings(name: str, queued: Queued) -> Iterator[str]:
    """Yield what a stream, or a route's, keeps in the clear of its examples that looks like personal data."""
    file = examples.file(name)
    if not file.exists():
        return
    try:
        found = messages.read(head_of(queued), [str(file)], None)
    except Unreadable:
        return  # the comparison with what they must become tells it
    route = queued if issubclass(queued, Route) else None
    for stream in streams_of(queued):
        for exposure in Findings(stream, found, throwaway.keyset(), route).exposures():
            count = f"{exposure.records:,} of {len(found):,} examples"
            column = f"{stream.stream_name}.{exposure.column}" if route else exposure.column
            yield f"{name}: the column {column} keeps in the clear what looks like {exposure.kind}, in {count}"


def _led_to(route: type[Route]) -> list[str]:
    return [stream.stream_name for stream in route.streams()]


def _column_count(stream: type[Stream]) -> int:
    return len(OWN_COLUMNS) + len(stream.columns())


def _show(
    streams: dict[str, type[Stream]],
    routes: dict[str, type[Route]],
    warnings: list[str],
    errors: list[str],
    seconds: float,
    not_applied: list[str] | None = None,
) -> None:
    """Show how it went; `not_applied` is told of a database that is there."""
    console = terminal.console()
    for name in not_applied or []:
        console.print(
            "[yellow]…[/]", terminal.cell(f"migration {name} is not applied yet: the next deployment does it")
        )
    for warning in warnings:
        console.print("[yellow]![/]", terminal.cell(warning), soft_wrap=True)
    if not errors:
        for name, stream in streams.items():
            fits = f"{name:<20}{_column_count(stream)} columns, as in the table {stream.table}"
            console.print("[green]✓[/]", terminal.cell(fits))
        for name, route in routes.items():
            leads = f"{name:<20}a route by {route.by} to {', '.join(_led_to(route))}"
            console.print("[green]✓[/]", terminal.cell(leads))
        what = "all migrations" if not_applied is None else "the database"
        console.print(f"{len(streams)} streams and {what} fit together: {seconds:.1f} s.")
    for error in errors:
        console.print("[red]✗[/]", terminal.cell(named(error)), soft_wrap=True)


def _show_changes(changes: list[Change] | None, left: list[tuple[str, Left]], revision: str | None) -> None:
    console = terminal.console()
    for change in changes or []:
        sign = "[red]✗[/] breaking:" if change.is_breaking else "[yellow]…[/] "
        console.print(sign, terminal.cell(change.sentence), soft_wrap=True)
    for name, one in left:
        console.print("[yellow]![/] older rows:", terminal.cell(f"{name}: {one.sentence}"), soft_wrap=True)
        if one.sql:
            console.print(terminal.cell(f"    {one.sql}"), soft_wrap=True)
    if changes == []:
        console.print(terminal.cell(f"Nobody would notice a change since {revision}."))
