-- How many requests were accepted at the first attempt, why the others were not, and what trying again cost, by
-- workflow, prompt version and language, of the runs opened since; of one run, when it is given. A sample that was chosen
-- to find what fails stands for no run.
WITH first AS (
    SELECT requests.request_id, requests.run_id, requests.document_id, requests.state, cause, language
    FROM requests JOIN documents USING (document_id) JOIN runs ON runs.run_id = requests.run_id
    WHERE parent_id IS NULL AND requests.state <> 'open'
      AND CASE WHEN %(run_id)s::bigint IS NULL THEN runs.opened_at > %(since)s AND runs.kind <> 'sample'
               ELSE runs.run_id = %(run_id)s::bigint END
), again AS (
    SELECT first.request_id, count(*) AS requests, coalesce(sum(cost_usd), 0) AS usd
    FROM first JOIN requests USING (run_id, document_id) LEFT JOIN results ON results.request_id = requests.request_id
    WHERE requests.parent_id IS NOT NULL AND coalesce(result_type, '') NOT IN ('merged', 'adopted')
    GROUP BY first.request_id
), by_cause AS (
    SELECT runs.workflow, version, language, cause, count(*) AS requests,
           count(*) FILTER (WHERE first.state = 'accepted') AS accepted,
           coalesce(sum(again.requests), 0) AS retries, coalesce(sum(again.usd), 0) AS retries_usd
    FROM first JOIN runs USING (run_id) JOIN prompt_versions USING (prompt_hash)
    LEFT JOIN again USING (request_id)
    GROUP BY runs.workflow, version, language, cause
)
SELECT workflow, version AS prompt_version, language, sum(requests)::bigint AS requests, sum(accepted)::bigint AS accepted,
       coalesce(json_object_agg(cause, requests) FILTER (WHERE cause IS NOT NULL), '{}') AS causes,
       sum(retries)::bigint AS retries, sum(retries_usd) AS retries_usd
FROM by_cause
GROUP BY workflow, version, language
ORDER BY workflow, version, language;
