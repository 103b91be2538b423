-- Whether a batch of a run was canceled at its cut-off.
SELECT EXISTS (SELECT FROM batches WHERE run_id = %(run_id)s AND cut_off_at IS NOT NULL) AS was_cut_off;
