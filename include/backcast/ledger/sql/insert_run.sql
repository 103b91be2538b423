-- Opens a run; nothing is returned when another task opened it meanwhile.
INSERT INTO runs (workflow, external_key, repository, ref, model, prompt_hash, max_tokens, selection, dry_run,
                  full_run, simulated, base_url, opened_at, deadline, rescue, max_usd, max_usd_a_month,
                  interim, structured, max_usd_for_retries, kind, sample, let_pass, source, tests)
VALUES (%(workflow)s, %(external_key)s, %(repository)s, %(ref)s, %(model)s, %(prompt_hash)s, %(max_tokens)s,
        %(selection)s, %(dry_run)s, %(full_run)s, %(simulated)s, %(base_url)s, %(opened_at)s, %(deadline)s,
        %(rescue)s, %(max_usd)s, %(max_usd_a_month)s, %(interim)s, %(structured)s, %(max_usd_for_retries)s, %(kind)s,
        %(sample)s, %(let_pass)s, %(source)s, %(tests)s)
ON CONFLICT (external_key) DO NOTHING
RETURNING run_id;
