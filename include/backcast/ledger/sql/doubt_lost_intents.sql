-- Doubts what was being sent to a simulator which is gone.
UPDATE batches SET state = 'in_doubt', note = 'the simulator that it was sent to is gone'
FROM runs WHERE runs.run_id = batches.run_id AND runs.simulated AND batches.state = 'intended';
