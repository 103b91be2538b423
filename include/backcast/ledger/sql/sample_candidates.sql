-- What a run is about to submit for the first time, and what makes a document worth having in its sample: odd are the bytes
-- by which it is longer than its characters. What failed long ago, at a simulator, or for its length says little of a prompt.
WITH failed AS (
    SELECT DISTINCT path
    FROM runs AS this
    JOIN runs ON runs.workflow = this.workflow AND runs.repository = this.repository AND runs.run_id <> this.run_id
            AND runs.simulated = this.simulated AND runs.opened_at > this.opened_at - interval '30 days'
    JOIN requests ON requests.run_id = runs.run_id JOIN documents USING (document_id)
    WHERE this.run_id = %(run_id)s AND parent_id IS NULL AND requests.state = 'failed' AND cause NOT IN ('passing', 'too_long')
)
SELECT request_id, documents.answer_key AS key, language, documents.size, octet_length(body) - char_length(body) AS odd,
       failed.path IS NOT NULL AS failed_before,
       EXISTS (SELECT FROM addressings WHERE addressings.content_hash = documents.content_hash AND line IS NOT NULL) AS suspicious
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash) LEFT JOIN failed USING (path)
WHERE requests.run_id = %(run_id)s AND requests.state = 'open' AND claims AND left_because IS NULL AND parent_id IS NULL
  AND batch_id IS NULL AND NOT synchronous;
