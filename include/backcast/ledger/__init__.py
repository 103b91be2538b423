"""The PostgreSQL tables that are the only source of truth."""
