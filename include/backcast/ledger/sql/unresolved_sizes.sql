-- The sizes of the batches that are on their way to an API and have no known end.
SELECT DISTINCT request_count FROM batches WHERE base_url = %(base_url)s AND state IN ('intended', 'in_doubt');
