-- ?1 posting id
SELECT data FROM postings WHERE posting_id = ?1
