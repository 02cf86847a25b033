"""What PostgreSQL's errors mean for a batch: the one table of it.

Only an error's codes and names may be logged or told: its message, detail and context hold values of rows.
https://www.postgresql.org/docs/current/errcodes-appendix.html
https://www.postgresql.org/docs/current/protocol-error-fields.html
"""

from enum import Enum
from typing import Any

from sluice.postgres.driver import DatabaseError, InterfaceError


class Meaning(Enum):
    """What an error means, by what happens next."""

    DUPLICATE = "the message is a row already: nothing"
    REFUSED = "the row is at fault: it alone is reported"
    TRY_AGAIN = "somebody was in the way: the transaction is tried again, as long as there is time"
    RECONNECT = "the connection is gone, or leads to a server that takes no writes: a new one is made, once"
    CREDENTIALS = "the login is not accepted: its secret is read again, once"
    OUTAGE = "something that the whole batch needs is missing: every message comes again"


# By how the SQLSTATE begins: the first that fits counts. An SQLSTATE that fits none is an outage.
TABLE = (
    ("23505", Meaning.DUPLICATE),  # unique violation: of the primary key, or else the merge raises it again
    ("21", Meaning.REFUSED),  # cardinality violation, such as two rows where a trigger asked for one
    ("22", Meaning.REFUSED),  # data exception
    ("23", Meaning.REFUSED),  # integrity constraint violation
    ("2F", Meaning.REFUSED),  # SQL routine exception, such as a trigger that ends without RETURN
    ("38", Meaning.REFUSED),  # external routine exception: a trigger in another language
    ("39", Meaning.REFUSED),  # external routine invocation exception
    ("44", Meaning.REFUSED),  # a trigger wrote to a view what its WITH CHECK OPTION refuses
    ("54", Meaning.REFUSED),  # program limit exceeded, such as an index entry that is too large
    ("P0", Meaning.REFUSED),  # PL/pgSQL error
    ("40001", Meaning.TRY_AGAIN),  # serialization failure
    ("40P01", Meaning.TRY_AGAIN),  # deadlock
    ("55P03", Meaning.TRY_AGAIN),  # lock timeout
    ("57014", Meaning.TRY_AGAIN),  # statement timeout
    ("25006", Meaning.RECONNECT),  # the server takes no writes: the connection may be from before a failover
    ("28P01", Meaning.CREDENTIALS),  # wrong password
    ("28000", Meaning.CREDENTIALS),  # no such role, or it may not log in
)
INSUFFICIENT_PRIVILEGE = "42501"
NOT_SUPPORTED = "0A000"  # of BEGIN by a standby, of FOR UPDATE by Citus, of many other statements
UNDEFINED_OBJECT = "42704"  # such as a role
SYNTAX_ERROR = "42601"
INTERNAL_ERROR = "XX000"  # also whatever one of Citus's workers says of a COPY: code, names and line are lost
OF_A_ROW = {Meaning.DUPLICATE, Meaning.REFUSED}

# The routines of PostgreSQL's source that report an error, the same in versions 15 to 18.
OF_A_TRIGGER = {
    *("exec_stmt_raise", "exec_stmt_assert"),  # RAISE and ASSERT: the code is whatever the trigger's author chose
    "ExecBRInsertTriggers",  # the trigger moved the row out of its partition: 0A000
}
NO_PARTITION = "ExecFindPartition"  # no partition takes the row: 23514, as for a CHECK
OF_A_WORKER = "ReportResultError"  # Citus passes on what a worker says of a statement: code and message, but no names


def meaning(error: Exception, is_of_the_row: bool = False) -> Meaning:
    """Return what an error means. It can be the row's fault only if it was raised while rows were written."""
    if isinstance(error, InterfaceError | OSError):
        return Meaning.RECONNECT
    if not isinstance(error, DatabaseError):
        return Meaning.OUTAGE
    code, routine = of(error), fields(error).get("R")
    if is_of_the_row and routine in OF_A_TRIGGER:
        return Meaning.REFUSED
    found = next((meant for start, meant in TABLE if code.startswith(start)), Meaning.OUTAGE)
    if found in OF_A_ROW and (not is_of_the_row or _lacks_partition(error)):
        return Meaning.OUTAGE
    if found is not Meaning.CREDENTIALS and is_fatal(error):
        return Meaning.RECONNECT
    return found


def meaning_of_begin(error: Exception) -> Meaning:
    """Return what an error at a transaction's beginning means: a standby refuses READ WRITE as 0A000."""
    if isinstance(error, DatabaseError) and of(error) == NOT_SUPPORTED:
        return Meaning.RECONNECT
    return meaning(error)


def of(error: DatabaseError) -> str:
    """Return the five characters of PostgreSQL's error code, or nothing where it sent none."""
    return str(fields(error).get("C", ""))


def _lacks_partition(error: DatabaseError) -> bool:
    """Tell whether no partition takes a row. Citus's workers say it in the message alone, in English by default."""
    found = fields(error)
    if found.get("R") == OF_A_WORKER:
        return str(found.get("M", "")).startswith("no partition of relation ")
    return found.get("R") == NO_PARTITION


def is_of_several_statements(error: DatabaseError) -> bool:
    """Tell whether a worker of Citus refused the query because it has several statements."""
    return of(error) == SYNTAX_ERROR and fields(error).get("R") == OF_A_WORKER


def describe(error: DatabaseError) -> str:
    """Tell what PostgreSQL refused by code and names alone."""
    found = fields(error)
    names = {"table": found.get("t"), "column": found.get("c"), "constraint": found.get("n")}
    return ", ".join([f"SQLSTATE {of(error)}", *(f"{kind} {name}" for kind, name in names.items() if name)])


def fields(error: DatabaseError) -> dict[str, Any]:
    """Return the fields of an ErrorResponse, which are personal data for the most part."""
    found = error.args[0] if error.args else {}
    return found if isinstance(found, dict) else {}


def is_fatal(error: DatabaseError) -> bool:
    """Tell whether the server closes the connection after it."""
    return fields(error).get("V") in ("FATAL", "PANIC")
