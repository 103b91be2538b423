-- Writes down since when no task of these runs does anything, and returns since when.
UPDATE runs SET idle_since = CASE WHEN run_id = ANY (%(run_ids)s) THEN coalesce(idle_since, %(now)s) END
WHERE state IN ('open', 'collected') AND (idle_since IS NOT NULL OR run_id = ANY (%(run_ids)s))
RETURNING run_id, idle_since;
