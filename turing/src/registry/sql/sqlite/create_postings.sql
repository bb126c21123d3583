-- The postings themselves; kept as it is if the application has a table of this name.
CREATE TABLE IF NOT EXISTS postings (
    posting_id INTEGER PRIMARY KEY CHECK (posting_id BETWEEN 1 AND 2147483647),
    data       TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(data)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
