-- Gives up the batches of which nobody knows the end in time, so that their requests are answered synchronously. One with
-- a known id is read when it has ended, since it may have been paid for; one that has ended is read in time.
WITH given_up AS (
    UPDATE batches SET state = 'given_up', note = 'answered synchronously at the deadline, possibly paid twice'
    WHERE run_id = %(run_id)s AND (state = 'in_doubt'
                                   OR (state = 'submitted' AND cut_off_at IS NOT NULL AND batch_id <> ALL (%(ended)s)))
    RETURNING *
), second AS (
    INSERT INTO sightings (api_batch_id, base_url, key_fingerprint, created_at, request_count, ended, verdict, batch_id,
                           first_seen_at, last_seen_at)
    SELECT api_batch_id, base_url, key_fingerprint, submitted_at, request_count, false, 'second', batch_id, %(now)s,
           %(now)s
    FROM given_up WHERE api_batch_id IS NOT NULL
    ON CONFLICT (api_batch_id) DO UPDATE SET verdict = 'second', batch_id = excluded.batch_id
)
SELECT batch_id FROM given_up;
