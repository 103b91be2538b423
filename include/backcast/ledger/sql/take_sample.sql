-- Makes requests of a run its sample, which is answered synchronously; the money for that is reserved anew.
UPDATE requests SET synchronous = true, sampled = true, reserved_usd = NULL WHERE request_id = ANY (%(request_ids)s);
