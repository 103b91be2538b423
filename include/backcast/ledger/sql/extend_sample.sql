-- Gives a sample time again, since somebody goes on with it.
UPDATE runs SET deadline = %(deadline)s WHERE run_id = %(run_id)s AND state = 'collected';
