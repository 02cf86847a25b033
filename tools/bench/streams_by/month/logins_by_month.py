"""The logins of `user_logins`, by its own declaration, but for the table: it has a partition for each month."""

from streams.user_logins import UserLogin


class LoginByMonth(UserLogin, table=UserLogin.table, subject="user_id", partition="month"):
    """A login event in the partition of its month."""
