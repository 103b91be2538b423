-- What the checks of a run cost, may have cost at most without a known end so far, or both, in US$, and how many were begun.
SELECT count(*) AS conversations, coalesce(sum(cost_usd), 0) AS cost_usd,
       coalesce(sum(risked_usd + coalesce(reserved_usd, 0)), 0) AS risked_usd,
       coalesce(sum(cost_usd + risked_usd + coalesce(reserved_usd, 0)), 0) AS committed_usd
FROM finding_checks WHERE run_id = %(run_id)s;
