"""What a model that looked into the repository says of findings, and what a report showed of it."""

from backcast.ledger.migrations import apply_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
