"""Runs of a file of requests, which bring their own parameters."""

from backcast.ledger.migrations import apply_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
