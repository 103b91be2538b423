-- What a person should look at, newest last.
SELECT kind, run_id, batch_id, message, raised_at FROM alerts
WHERE raised_at > %(since)s OR run_id = ANY (%(run_ids)s) ORDER BY alert_id;
