-- The last event in each kept state, for programs as well as for SQL: a state is used only where the
-- posting has that event at that version. What was kept without it goes; the table is a cache.
DELETE FROM "{schema}".posting_state_snapshots;

ALTER TABLE "{schema}".posting_state_snapshots
    ADD COLUMN last_event_id UUID;

COMMENT ON COLUMN "{schema}".posting_state_snapshots.last_event_id IS 'the last event in the state; null: not used';
