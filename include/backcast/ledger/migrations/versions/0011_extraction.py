"""Rows that are extracted from documents, of folders and object stores too, and of PDFs."""

from backcast.ledger.migrations import apply_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    apply_sql(__file__)
