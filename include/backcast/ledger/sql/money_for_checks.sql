-- What the checks of a run cost, may still cost, or may have cost without a known end, in US$, and how many were begun.
SELECT count(*) AS conversations, coalesce(sum(cost_usd), 0) AS cost_usd, coalesce(sum(risked_usd), 0) AS risked_usd,
       coalesce(sum(cost_usd + risked_usd + coalesce(reserved_usd, 0)), 0) AS committed_usd
FROM finding_checks WHERE run_id = %(run_id)s;
