-- The last event in the state: a state is used only where the stream has that event at that version.
-- What an older program kept has none and is not used.
ALTER TABLE snapshots
ADD COLUMN last_event_id TEXT;

PRAGMA user_version = 7;
