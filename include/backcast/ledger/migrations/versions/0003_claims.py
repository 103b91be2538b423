"""Claims: a content that one run has asked for is not asked for by another."""

from backcast.ledger.migrations import apply_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
