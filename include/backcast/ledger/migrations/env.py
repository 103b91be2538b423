"""Alembic's environment: it runs on the connection that `backcast.ledger.migrate` hands over."""

from __future__ import annotations

from alembic import context

from backcast.ledger.connection import SCHEMA
from backcast.ledger.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
