-- Writes down how a synchronous call ended.
UPDATE calls SET state = %(state)s, ended_at = %(now)s, note = %(note)s WHERE call_id = %(call_id)s AND state = 'sent';
