-- What an older program kept does not tell its last event and is never used again.
DELETE FROM snapshots
WHERE last_event_id IS NULL;

PRAGMA user_version = 8;
