-- Lets no statement of this transaction, nor its wait for a lock, take longer than so many milliseconds.
SELECT set_config('statement_timeout', %(milliseconds)s, true);
