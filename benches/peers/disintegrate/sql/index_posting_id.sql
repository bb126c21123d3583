CREATE INDEX IF NOT EXISTS idx_event_posting_id ON event (posting_id) WHERE posting_id IS NOT NULL;
