-- $1 posting ids
SELECT posting_id, data
FROM "{schema}".postings
WHERE posting_id = ANY ($1)
