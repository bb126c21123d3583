-- ?1 position, ?2 event id, NULL for any
SELECT EXISTS (
    SELECT 1
    FROM execution_events
    WHERE position = ?1
        AND (?2 IS NULL OR event_id = ?2)
)
