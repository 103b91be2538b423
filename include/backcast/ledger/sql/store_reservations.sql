-- Reserves money for requests; what it does not suffice for is left unanswered, and to other runs.
UPDATE requests
SET reserved_usd = reservations.reserved_usd, left_because = reservations.left_because,
    claims = reservations.left_because IS NULL
FROM reservations WHERE reservations.request_id = requests.request_id;
