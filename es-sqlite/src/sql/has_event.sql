-- ?1 event id
SELECT EXISTS (SELECT 1 FROM execution_events WHERE event_id = ?1)
