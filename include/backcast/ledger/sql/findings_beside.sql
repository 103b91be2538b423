-- What a workflow's reports found, once each, as the latest report to have it says; fixed when the latest of all no longer
-- has it, though it got an answer; persisting when the report before them had it already; own when a run found it, too.
WITH latest AS (
    SELECT DISTINCT ON (findings.fingerprint) findings.*, runs.published_at, runs.workflow, runs.repository, runs.simulated
    FROM findings JOIN runs USING (run_id)
    WHERE findings.run_id = ANY(%(run_ids)s)
    ORDER BY findings.fingerprint, runs.published_at DESC, findings.run_id DESC
), before AS (
    SELECT runs.run_id
    FROM runs JOIN (SELECT workflow, repository, simulated FROM latest LIMIT 1) AS same
         USING (workflow, repository, simulated)
    WHERE runs.state = 'published' AND runs.published_at <= %(since)s
    ORDER BY runs.published_at DESC LIMIT 1
)
SELECT latest.*, documents.path,
       latest.run_id <> %(latest_run_id)s
       AND NOT EXISTS (SELECT FROM documents AS now
                       WHERE now.run_id = %(latest_run_id)s AND now.path = documents.path
                         AND now.outcome IN ('unanswered', 'skipped')) AS fixed,
       EXISTS (SELECT FROM findings AS earlier JOIN before USING (run_id)
               WHERE earlier.fingerprint = latest.fingerprint) AS persisting,
       EXISTS (SELECT FROM findings AS own
               WHERE own.run_id = %(run_id)s AND own.fingerprint = latest.fingerprint) AS own
FROM latest JOIN documents USING (document_id)
ORDER BY path, line_start, fingerprint;
