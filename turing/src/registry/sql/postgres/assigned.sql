-- $1 digests
SELECT digest, posting_id
FROM "{schema}".assigned_postings
WHERE digest = ANY ($1)
