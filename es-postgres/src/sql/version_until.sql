-- $1 aggregate type, $2 aggregate id, $3 instant
--
-- The version before the first event that was recorded later.
SELECT coalesce(
    (
        SELECT aggregate_version - 1
        FROM "{schema}"."{events}"
        WHERE aggregate_type = $1
            AND aggregate_id = $2
            AND created_at > $3
        ORDER BY aggregate_version
        LIMIT 1
    ),
    (
        SELECT aggregate_version
        FROM "{schema}"."{events}"
        WHERE aggregate_type = $1
            AND aggregate_id = $2
        ORDER BY aggregate_version DESC
        LIMIT 1
    ),
    0
)
