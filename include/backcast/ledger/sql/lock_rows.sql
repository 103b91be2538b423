-- Holds the rows of a workflow until the transaction ends: of two runs that publish at once, one has to see the other's.
SELECT pg_advisory_xact_lock(hashtextextended('extracted rows of ' || %(workflow)s, 0));
