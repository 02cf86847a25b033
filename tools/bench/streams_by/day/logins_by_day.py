"""The logins of `user_logins`, by its own declaration, but for the table: it has a partition for each day."""

from streams.user_logins import UserLogin


class LoginByDay(UserLogin, table=UserLogin.table, subject="user_id", partition="day"):
    """A login event in the partition of its day."""
