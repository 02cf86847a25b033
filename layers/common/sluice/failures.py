"""The ways in which work can fail, named after what has to happen next."""

SOURCES = {  # by what the text of an outage begins with
    "database": "database",
    "database secret": "secrets_manager",
    "rds": "database",
    "secrets manager": "secrets_manager",
    "s3": "s3",
    "keyset": "keyset",
    "kms": "kms",
    "vault": "kms",
    "out of time": "deadline",
    "setting": "configuration",
    "declaration": "configuration",
}


class DeclarationError(TypeError):
    """A stream is declared wrongly: names stream, field and rule. Nothing is deployed with it."""


class Rejected(Exception):
    """The record is at fault: it alone is reported, and never becomes a row.

    `reason` is one of a fixed set of words, `pointer` a JSON pointer (RFC 6901) that names only fields which the
    stream declares. Neither ever holds a value of the record.
    """

    def __init__(self, reason: str, pointer: str = "") -> None:
        super().__init__(f"{pointer or 'record'}: {reason}")
        self.reason = reason
        self.pointer = pointer

    def at(self, pointer: str) -> "Rejected":
        """Return the same rejection, with `pointer` before its own pointer."""
        return Rejected(self.reason, pointer + self.pointer)


class Unforeseen(Rejected):
    """Code failed of the record in a way that nobody foresaw, such as a user's own rule or envelope.

    `cause` is the class of its error. The error's text may quote the record, so it is told nowhere.
    """

    def __init__(self, cause: str, pointer: str = "") -> None:
        super().__init__("internal_error", pointer)
        self.cause = cause

    def at(self, pointer: str) -> "Unforeseen":
        return Unforeseen(self.cause, pointer + self.pointer)


def rejection_of(error: BaseException) -> Rejected:
    """Return an error of a user's own code as the rejection of the record that it was given.

    A user's own `Rejected` whose reason is not printable, or whose pointer cannot be stored, counts as any other error.
    """
    if isinstance(error, Rejected) and _is_printable(error.reason) and _is_storable(error.pointer):
        return error
    return Unforeseen(type(error).__name__)


def _is_printable(reason: object) -> bool:
    return isinstance(reason, str) and reason.isprintable()


def _is_storable(pointer: object) -> bool:
    """Tell whether PostgreSQL takes a text. A declared key may hold characters that are not printable."""
    return isinstance(pointer, str) and not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in pointer)


# What code of a user's own may raise: `sys.exit()` in it must not end the function.
OF_A_USERS_CODE = (Exception, SystemExit)


class Outage(Exception):
    """Something that the whole batch needs is missing: the invocation fails, and every message comes again.

    Its text begins with what is missing, and never holds a value of a record.
    """

    @property
    def source(self) -> str:
        """What is missing, as one of a fixed set of words."""
        return SOURCES.get(str(self).partition(":")[0], "internal")
