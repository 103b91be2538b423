-- What a round tries again, by cause and remedy.
SELECT parent.cause, child.remedy, count(*) AS count
FROM requests AS child JOIN requests AS parent ON parent.request_id = child.parent_id
WHERE child.run_id = %(run_id)s AND child.round = %(round)s AND child.part_number <= 1 AND child.remedy <> 'merged'
GROUP BY parent.cause, child.remedy
ORDER BY count(*) DESC, parent.cause;
