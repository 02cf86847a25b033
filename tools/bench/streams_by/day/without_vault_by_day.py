"""The logins of `without_vault`, but for the table: it has a partition for each day."""

from tools.bench.streams.without_vault import LoginWithoutVault


class LoginWithoutVaultByDay(LoginWithoutVault, table=LoginWithoutVault.table, subject="user_id", partition="day"):
    """A login event in the partition of its day, whose tokens nobody can turn back."""
