-- What a run says of the findings that were to be checked.
SELECT checked_findings.fingerprint, verdict, coalesce(checked_findings.note, finding_checks.note) AS note, evidence,
       finding_checks.run_id, ended_at
FROM checked_findings LEFT JOIN finding_checks USING (check_id)
WHERE checked_findings.run_id = %(run_id)s
ORDER BY checked_findings.fingerprint;
