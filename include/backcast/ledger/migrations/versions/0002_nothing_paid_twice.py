"""Nothing paid twice: batches in doubt and what listings showed, cancelling, alerts."""

from backcast.ledger.migrations import apply_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
