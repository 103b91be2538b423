-- Writes the verdicts into the results.
UPDATE results SET verdict = judged.verdict FROM judged WHERE judged.result_id = results.result_id;
