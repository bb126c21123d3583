-- ?1 aggregate type, ?2 aggregate id, ?3 idempotency key
SELECT first_position, last_position
FROM idempotency_keys
WHERE aggregate_type = ?1
    AND aggregate_id = ?2
    AND idempotency_key = ?3
