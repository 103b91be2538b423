-- Writes down whose a batch is.
UPDATE sightings SET verdict = %(verdict)s, batch_id = %(batch_id)s WHERE api_batch_id = %(api_batch_id)s;
