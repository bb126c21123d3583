-- $1 first, $2 last posting
INSERT INTO postings (posting_id)
SELECT generate_series($1::int, $2::int)
