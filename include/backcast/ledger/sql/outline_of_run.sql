-- What the repository of a run held when it was collected.
SELECT outline FROM outlines WHERE run_id = %(run_id)s;
