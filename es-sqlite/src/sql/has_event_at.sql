-- ?1 position, ?2 event id
SELECT EXISTS (
    SELECT 1
    FROM execution_events
    WHERE position = ?1
        AND event_id = ?2
)
