"""What the migrations of this tree lead to: the product's, and those of the streams that the tests declare."""

from pathlib import Path

from sluice.migrate.migrations import Versions
from tools.project import DECLARED, PROJECT

PRODUCT = PROJECT / "layers/common/sluice/migrate/sql"
STREAMS = DECLARED / "streams/migrations"


def newest(folder: Path) -> int:
    """Return the highest number of a migration in a folder."""
    return max(int(file.name.partition("_")[0]) for file in folder.glob("*.sql"))


NEWEST = Versions(newest(PRODUCT), newest(STREAMS))
ANSWER = {"schema_version": NEWEST.product, "streams_version": NEWEST.streams}  # of the migrate function
