"""A first batch that is waited for, turns in which the model paused, and alerts that people were told."""

from backcast.ledger.migrations import apply_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
