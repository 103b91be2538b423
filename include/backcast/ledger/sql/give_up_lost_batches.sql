-- Gives up the batches that runs sent to a simulator which is gone with all that it held.
UPDATE batches SET state = 'given_up', note = 'the simulator that held it is gone'
FROM runs
WHERE runs.run_id = batches.run_id AND runs.simulated AND batches.state IN ('in_doubt', 'submitted', 'ended');
