-- ?1 digest of the content
SELECT posting_id FROM assigned_postings WHERE digest = ?1
