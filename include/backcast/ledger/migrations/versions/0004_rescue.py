"""Rescue: what is answered synchronously, what it may cost, and why something is left unanswered."""

from backcast.ledger.migrations import apply_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
