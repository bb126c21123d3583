-- what the crate's migrator does for each domain id, and does not reach here
ALTER TABLE event ADD COLUMN IF NOT EXISTS posting_id BIGINT;
