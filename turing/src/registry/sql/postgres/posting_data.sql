-- $1 posting id
SELECT data
FROM "{schema}".postings
WHERE posting_id = $1
