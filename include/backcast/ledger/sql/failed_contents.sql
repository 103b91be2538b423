-- The contents that were not accepted at the first attempt in runs of a workflow opened since.
SELECT DISTINCT content_hash
FROM requests JOIN documents USING (document_id) JOIN runs ON runs.run_id = requests.run_id
WHERE runs.workflow = %(workflow)s AND runs.kind = 'documents' AND opened_at > %(since)s
  AND parent_id IS NULL AND requests.state = 'failed' AND cause <> 'passing';
