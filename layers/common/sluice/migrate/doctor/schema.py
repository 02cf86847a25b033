"""The schema: migrations, the streams' tables against their declarations, triggers and indexes."""

from collections.abc import Iterator, Sequence
from typing import Any

from sluice.migrate import catalogue, migrations, partitions, tables
from sluice.migrate.doctor.finding import Finding, Severity
from sluice.migrate.doctor.subject import Subject
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection

AREA = "schema"
APPEND_ONLY = "audit_log"
MAINTAIN = "Invoke MaintainFunction; its log says what is in the way."


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Compare the schema with the migrations and the declarations that are here."""
    lacking = migrations.not_applied(connection)
    yield Finding(AREA, "good", f"{len(lacking)} migrations to come, {len(subject.streams)} streams")
    if lacking and subject.is_deployed:
        yield Finding(AREA, "fails", f"Not applied: {', '.join(lacking)}.", "migrations", "Invoke MigrateFunction.")
    for sentence in [*migrations.changed(connection), *tables.distributed(connection)]:
        yield Finding(AREA, "fails", sentence, advice="Without that the next deployment fails.")
    yield from _of_streams(connection, subject, are_to_come=bool(lacking) and not subject.is_deployed)
    yield from _of_partitions(connection)
    found = [relation.oid for stream in subject.streams if (relation := catalogue.look_up(connection, stream))]
    yield from _of_indexes(connection, found)
    yield from _of_triggers(connection, found)


def _of_streams(connection: Connection, subject: Subject, are_to_come: bool) -> Iterator[Finding]:
    """Compare each stream with its table. What migrations that are to come may still change is no failure yet."""
    severity: Severity = "warns" if are_to_come else "fails"
    for stream in subject.streams:
        if are_to_come and catalogue.look_up(connection, stream) is None:
            continue
        for sentence in tables.findings(connection, stream, {}):
            advice = "`sluice check` tells whether the migrations to come change that." if are_to_come else ""
            yield Finding(AREA, severity, f"{sentence}.", stream.stream_name, advice)


def _of_partitions(connection: Connection) -> Iterator[Finding]:
    """Look for tables that lack partitions which ingest needs today, and for what the maintenance has not done."""
    there: Any = connection.run("SELECT to_regprocedure('partitions_of(regclass, text)') IS NOT NULL")
    if not there[0][0]:
        return  # the database is of an earlier release
    now = partitions.moment(connection)
    days = partitions.overdue(connection)
    for partitioned in partitions.declared(connection):
        stream, found = partitioned.stream, partitions.partitions(connection, partitioned.relation)
        if not partitioned.is_converted:
            yield Finding(AREA, "warns", f"{partitioned.relation} has no partitions yet.", stream, MAINTAIN)
        elif not any(one.span.lower <= now < one.span.upper for one in found):
            yield Finding(AREA, "fails", f"{partitioned.relation} has no partition for today.", stream, MAINTAIN)
        elif days[stream]:
            sentence = f"{partitioned.relation} waits for its maintenance for {days[stream]} days."
            yield Finding(AREA, "warns", sentence, stream, MAINTAIN)


def _of_indexes(connection: Connection, relations: Sequence[int]) -> Iterator[Finding]:
    """Look for indexes of the streams' tables, by their OIDs, that PostgreSQL does not use."""
    rows: Any = connection.run(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
        " AND indrelid = ANY (CAST(:relations AS bigint[])::oid[])",
        relations=array_cell(relations),
    )
    for (index,) in rows:
        yield Finding(AREA, "warns", "The index is invalid, so no search uses it.", index, f"REINDEX INDEX {index}")


def _of_triggers(connection: Connection, relations: Sequence[int]) -> Iterator[Finding]:
    """Look for triggers that are switched off, and for the one that keeps the audit log from being changed."""
    rows: Any = connection.run(
        "SELECT tgrelid::regclass::text, tgname::text, tgenabled IN ('O', 'A') FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid = ANY (CAST(:relations AS bigint[])::oid[] || to_regclass(:log)::oid) ORDER BY 1, 2",
        relations=array_cell(relations),
        log=APPEND_ONLY,
    )
    for table, trigger, is_enabled in rows:
        if not is_enabled:
            severity: Severity = "fails" if table == APPEND_ONLY else "warns"
            advice = f"ALTER TABLE {table} ENABLE TRIGGER {trigger}"
            yield Finding(AREA, severity, f"The trigger {trigger} is disabled.", table, advice)
    log: Any = connection.run("SELECT to_regclass(:log) IS NOT NULL", log=APPEND_ONLY)
    if log[0][0] and [APPEND_ONLY, "is_final"] not in [row[:2] for row in rows]:
        sentence = "The trigger is_final is missing, so rows of the audit log can be changed."
        yield Finding(
            AREA, "fails", sentence, APPEND_ONLY, "Make it again, as in 0004_vault.sql; `sluice audit verify`."
        )
