#!/bin/bash
# Runs once, when PostgreSQL's volume is empty: a database and a user for Airflow, and another of each for the ledger.
# Neither user can connect to the other's database.
set -eu
psql -v ON_ERROR_STOP=1 -X -q --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv backcast_password BACKCAST_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE backcast LOGIN PASSWORD :'backcast_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE backcast OWNER backcast;
REVOKE CONNECT ON DATABASE airflow, backcast, postgres FROM PUBLIC;
SQL
