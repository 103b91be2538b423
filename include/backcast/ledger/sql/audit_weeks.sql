-- How the audits of a run's workflow and repository went, by the weeks in which they were due: the last one that was
-- published of each, and of the workflow beside them the last report of the seven days before it, or before the week's end.
WITH this AS (
    SELECT run_id, workflow, repository, simulated FROM runs WHERE run_id = %(run_id)s
), weeks AS (
    SELECT * FROM unnest(%(names)s::text[], %(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS week (week, begins, ends)
), runs_of_weeks AS (
    SELECT weeks.week, runs.run_id
    FROM this JOIN runs USING (workflow, repository, simulated)
    JOIN weeks ON runs.deadline >= weeks.begins AND runs.deadline < weeks.ends
    WHERE runs.kind = 'documents' AND NOT runs.dry_run
), audits AS (
    SELECT runs.run_id, runs.deadline,
           CASE WHEN runs.run_id = this.run_id THEN %(now)s::timestamptz ELSE runs.published_at END AS published_at
    FROM this JOIN runs USING (workflow, repository, simulated)
    WHERE runs.kind = 'documents' AND NOT runs.interim AND (runs.state = 'published' OR runs.run_id = this.run_id)
), last AS (
    SELECT DISTINCT ON (weeks.week) weeks.*, audits.run_id, audits.published_at,
           count(audits.run_id) OVER (PARTITION BY weeks.week) AS audits
    FROM weeks LEFT JOIN audits ON audits.deadline >= weeks.begins AND audits.deadline < weeks.ends
    ORDER BY weeks.week, audits.published_at DESC, audits.run_id DESC
), compared AS (
    SELECT last.*, (SELECT audits.run_id FROM audits WHERE audits.published_at < last.published_at
                    ORDER BY audits.published_at DESC, audits.run_id DESC LIMIT 1) AS before_id
    FROM last
)
SELECT compared.week, compared.audits, compared.run_id, found.*, gone.fixed, checked.*, beside.findings AS beside,
       spent.cost_usd + checks.cost_usd AS cost_usd
FROM compared,
LATERAL (SELECT count(*) FILTER (WHERE severity = 'critical') AS critical, count(*) FILTER (WHERE severity = 'high') AS high,
                count(*) FILTER (WHERE severity = 'medium') AS medium, count(*) FILTER (WHERE severity = 'low') AS low,
                count(*) FILTER (WHERE NOT EXISTS (
                    SELECT FROM findings AS earlier
                    WHERE earlier.run_id = compared.before_id AND earlier.fingerprint = findings.fingerprint)) AS new
         FROM findings WHERE findings.run_id = compared.run_id) AS found,
LATERAL (SELECT count(*) AS fixed
         FROM findings AS earlier JOIN documents USING (document_id)
         WHERE earlier.run_id = compared.before_id
           AND NOT EXISTS (SELECT FROM findings
                           WHERE findings.run_id = compared.run_id AND findings.fingerprint = earlier.fingerprint)
           AND NOT EXISTS (SELECT FROM documents AS now
                           WHERE now.run_id = compared.run_id AND now.path = documents.path
                             AND now.outcome IN ('unanswered', 'skipped'))) AS gone,
LATERAL (SELECT count(*) FILTER (WHERE verdict = 'verified') AS verified, count(*) FILTER (WHERE verdict = 'refuted') AS refuted,
                count(*) FILTER (WHERE coalesce(verdict, 'unclear') = 'unclear') AS unclear
         FROM findings JOIN checked_findings USING (run_id, fingerprint) LEFT JOIN finding_checks USING (check_id)
         WHERE findings.run_id = compared.run_id) AS checked,
LATERAL (SELECT coalesce(sum(results.cost_usd), 0) AS cost_usd
         FROM runs_of_weeks JOIN requests USING (run_id) JOIN results USING (request_id)
         WHERE runs_of_weeks.week = compared.week) AS spent,
LATERAL (SELECT coalesce(sum(finding_checks.cost_usd), 0) AS cost_usd
         FROM runs_of_weeks JOIN finding_checks USING (run_id) WHERE runs_of_weeks.week = compared.week) AS checks
LEFT JOIN LATERAL (
    SELECT (SELECT count(*) FROM findings WHERE findings.run_id = other.run_id) AS findings
    FROM this JOIN runs AS other USING (repository, simulated),
    LATERAL (SELECT coalesce(compared.published_at, least(compared.ends, %(now)s::timestamptz)) AS moment) AS until
    WHERE other.workflow = %(beside)s AND other.state = 'published' AND NOT other.interim
      AND other.published_at > until.moment - %(period)s::interval AND other.published_at <= until.moment
    ORDER BY other.published_at DESC, other.run_id DESC LIMIT 1) AS beside ON true
ORDER BY compared.begins;
