-- Before migrations: one at a time, since two schedulers that start together must not both create the tables.
SELECT pg_advisory_xact_lock(hashtext('backcast migrate'));
CREATE SCHEMA IF NOT EXISTS backcast;
SET search_path = backcast;
