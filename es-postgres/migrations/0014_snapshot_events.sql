-- The last event in the state: a state is used only where the stream has that event at that version.
-- What an older program kept has none and is not used.
ALTER TABLE "{schema}"."{events}_snapshots"
ADD COLUMN last_event_id UUID;
