"""What can stop a stream: what it is and what to do, in a sentence, and the runbook's entry that has more."""

from typing import NamedTuple

RUNBOOK = "docs/operations.md"


class Cause(NamedTuple):
    """A cause, and where the runbook has more."""

    sentence: str
    entry: str  # a heading of RUNBOOK


REACH = "The server cannot be reached"
LOGIN = "The login is refused"
WRITES = "The server takes no writes"
ROOM = "The server is full"
LOCKS = "Somebody is in the way"
SCHEMA = "A table, column, right or partition is missing"
OTHER = "Another code of PostgreSQL"
AWS = "A secret or a service of AWS fails"
KEYSET = "The keyset is not the right one"
TIME = "The time is over"
CODE = "The stream's own code fails"
DEPLOYMENT = "A setting or a declaration is wrong"
OURS = "A fault of Sluice"
OFF = "The queue is not read, and the breaker is closed"
UNREADABLE = "The breaker's record cannot be read"
FUNCTION = "The function does not run"
PAUSED = "Pause, resume"

# By what the text of an outage begins with; the first that fits counts.
CAUSES = {
    "database: no connection, SSLCertVerificationError": Cause(
        "The server's certificate is not accepted: see whether DatabaseHost is a name that it has, and DatabaseCa.",
        REACH,
    ),
    "database: no connection": Cause(
        "The server does not answer: see whether it runs, and whether host, port, security group and certificate fit.",
        REACH,
    ),
    "database: connection lost": Cause("The connection was lost twice: look for a restart or a failover.", REACH),
    "database: the answer to COMMIT is lost": Cause(
        "The connection was lost at COMMIT: `sluice audit list` tells whether it was done.", REACH
    ),
    "database: SQLSTATE 57P": Cause("The server is starting or stopping: see its log.", REACH),
    "database: SQLSTATE 08": Cause("The server or a pooler refuses the connection: see its log.", REACH),
    "database: SQLSTATE 28P01": Cause(
        "The password is not accepted: put the right one into the role's secret, and invoke MigrateFunction.", LOGIN
    ),
    "database: SQLSTATE 28": Cause(
        "The role is missing or may not log in (invoke MigrateFunction), or the server wants TLS"
        " (DatabaseTls=verify-full), or pg_hba.conf has no line for it.",
        LOGIN,
    ),
    "database: SQLSTATE 3D000": Cause("There is no database of that name: check DatabaseName.", LOGIN),
    "database: SQLSTATE 42501, the role may not connect": Cause(
        "The role may not connect to the database: invoke MigrateFunction, which lets it.", LOGIN
    ),
    "database: SQLSTATE 58P01": Cause(
        "A setting of the role or the database names a library that is missing: invoke MigrateFunction.", LOGIN
    ),
    "database: SQLSTATE 25006": Cause("The server takes no writes: point DatabaseHost at the writer.", WRITES),
    "database: SQLSTATE 0A000, the server takes no writes": Cause(
        "The server takes no writes: point DatabaseHost at the writer.", WRITES
    ),
    "database: SQLSTATE 53300": Cause("The server has no connection left: see who has them.", ROOM),
    "database: SQLSTATE 53100": Cause("The server's disk is full: make room.", ROOM),
    "database: SQLSTATE 53": Cause("The server lacks memory or another resource: see its log.", ROOM),
    **dict.fromkeys(
        (f"database: SQLSTATE {code}" for code in ("40001", "40P01", "55P03", "57014")),
        Cause("Another session was in the way, or the server is too slow: find who holds the lock.", LOCKS),
    ),
    "database: SQLSTATE 23514": Cause(
        "No partition takes the row: make it. If a constraint is named, one of Sluice's own tables refuses.", SCHEMA
    ),
    "database: SQLSTATE 42": Cause(
        "A table, column or right is missing: undo what was changed by hand, and invoke MigrateFunction.", SCHEMA
    ),
    **dict.fromkeys(
        (f"database: SQLSTATE {kind}" for kind in ("21", "22", "23", "2F", "38", "39", "44", "54", "P0")),
        Cause("A trigger or constraint on one of Sluice's own tables refuses what is written: take it away.", SCHEMA),
    ),
    "database: SQLSTATE": Cause("PostgreSQL refuses the batch: its log tells why.", OTHER),
    "database secret": Cause("The login's secret must be a JSON object with `username` and `password`.", AWS),
    **dict.fromkeys(
        ("secrets manager", "rds", "sqs", "ssm"),
        Cause("AWS refuses or does not answer: see permissions, the VPC's endpoints and throttling.", AWS),
    ),
    **dict.fromkeys(
        ("kms", "vault"),
        Cause("There is no data key: see whether the vault key is enabled and can be reached from the VPC.", AWS),
    ),
    "s3": Cause(
        "The bucket of payloads refuses or does not answer: see its policy and key, and the VPC's endpoint for S3.",
        AWS,
    ),
    "keyset": Cause("It is not the keyset that this database knows: restore it, and never make a new one.", KEYSET),
    "out of time": Cause("The batch did not fit the function's time: see what was slow, or lower BatchSize.", TIME),
    "every record failed": Cause(
        "The stream's code fails of every record: mend it, or roll back the last deployment.", CODE
    ),
    **dict.fromkeys(
        ("setting", "declaration"), Cause("A setting or the stream's module is wrong: mend it and deploy.", DEPLOYMENT)
    ),
    **dict.fromkeys(("store", "internal"), Cause("This is a bug of ours: roll back the last deployment.", OURS)),
    "the record": Cause("The breaker's record cannot be read: `sluice resume` makes it anew.", UNREADABLE),
}


def of_outage(why: str) -> Cause | None:
    """Return the cause that an outage's text tells, or None for a text that is none of this release."""
    return next((cause for start, cause in CAUSES.items() if why.startswith(start)), None)


def of_stop(stream: str, is_paused: bool, why: str, is_off: bool, failure: str) -> Cause | None:
    """Return why a stream is not read, or None if nothing stops it.

    `why` is that of its breaker, `failure` why Lambda cannot run the function; `is_off`: its mapping is disabled.
    """
    if is_paused:
        return Cause(f"Somebody has paused it: `sluice resume {stream}`.", PAUSED)
    if why:
        return of_outage(why)
    if is_off:
        return Cause(f"The mapping was disabled by hand: `sluice resume {stream}`.", OFF)
    return Cause(f"Lambda cannot run the function: {failure}", FUNCTION) if failure else None
