-- $1 digests, $2 posting ids
INSERT INTO "{schema}".assigned_postings (digest, posting_id)
SELECT digest, posting_id
FROM unnest($1::text[], $2::int[]) p (digest, posting_id)
