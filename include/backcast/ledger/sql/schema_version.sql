-- The revision that the ledger was migrated to.
SELECT version_num FROM schema_version;
