-- Takes the alerts that nobody was sent yet, to be sent to people once.
WITH told AS (
    UPDATE alerts SET told_at = %(now)s WHERE told_at IS NULL
    RETURNING *
)
SELECT told.kind, told.raised_at, coalesce(external_key, told.subject) AS external_key, told.run_id, told.message, workflow
FROM told LEFT JOIN runs USING (run_id)
ORDER BY alert_id;
