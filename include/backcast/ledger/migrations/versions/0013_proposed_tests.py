"""Tests that are proposed for a repository, and what checks of them have shown."""

from backcast.ledger.migrations import apply_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
