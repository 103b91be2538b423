"""What contents say to the model that no document has to say."""

from backcast.ledger.migrations import apply_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
