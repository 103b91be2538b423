"""Migrations of the ledger: forward only, each a .sql file that a revision of the same name applies."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def apply_sql(revision_file: str) -> None:
    """Run the .sql file that lies beside a revision."""
    statements = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    # The driver's own cursor, since SQLAlchemy would take a colon in the text for a parameter.
    op.get_bind().exec_driver_sql(statements.replace("%", "%%"))
