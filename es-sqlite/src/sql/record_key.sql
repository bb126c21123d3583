-- ?1 aggregate type, ?2 aggregate id, ?3 idempotency key, ?4 first position, ?5 last position
INSERT INTO idempotency_keys (
    aggregate_type,
    aggregate_id,
    idempotency_key,
    first_position,
    last_position
)
VALUES (?1, ?2, ?3, ?4, ?5)
