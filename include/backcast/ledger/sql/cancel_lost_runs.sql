-- Cancels the runs that a simulator which is gone cannot answer any more.
UPDATE runs SET canceled_at = coalesce(canceled_at, %(now)s) WHERE simulated AND state IN ('open', 'collected')
RETURNING run_id;
