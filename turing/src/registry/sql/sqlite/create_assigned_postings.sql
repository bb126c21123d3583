-- The ids that were given to postings without one, by the digest of their content.
CREATE TABLE IF NOT EXISTS assigned_postings (
    digest     TEXT PRIMARY KEY,
    posting_id INTEGER NOT NULL UNIQUE
) WITHOUT ROWID
