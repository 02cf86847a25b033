"""The logins of `without_vault`, but for the table: it has a partition for each month."""

from tools.bench.streams.without_vault import LoginWithoutVault


class LoginWithoutVaultByMonth(LoginWithoutVault, table=LoginWithoutVault.table, subject="user_id", partition="month"):
    """A login event in the partition of its month, whose tokens nobody can turn back."""
