-- $1 aggregate type, $2 aggregate id, $3 expected version, or -1 for any, -2 for a stream that
-- exists, $4 idempotency key or null, $5 recorded at, $6 event id, $7 event type, $8 event data,
-- $9 metadata
--
-- One event to one stream. No row if the stream is not as expected or the key is recorded, and
-- unique_violation if another transaction was faster: the migrated function then says what it is.
INSERT INTO "{schema}"."{events}" (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    event_data,
    metadata,
    created_at,
    idempotency_key,
    append_size
)
SELECT
    $6,
    $1,
    $2,
    head.version + 1,
    $7,
    $8,
    $9,
    $5,
    $4::text,
    CASE WHEN $4::text IS NOT NULL THEN 1 END
FROM (
    SELECT coalesce(
        (
            SELECT e.aggregate_version
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = $1
                AND e.aggregate_id = $2
            ORDER BY e.aggregate_version DESC
            LIMIT 1
        ),
        0
    ) AS version
) head
WHERE ($3::bigint = head.version OR $3::bigint = -1 OR ($3::bigint = -2 AND head.version > 0))
    AND (
        $4::text IS NULL
        OR NOT EXISTS (
            SELECT 1
            FROM "{schema}"."{events}" k
            WHERE k.aggregate_type = $1
                AND k.aggregate_id = $2
                AND k.idempotency_key = $4::text
        )
    )
RETURNING position, aggregate_version
