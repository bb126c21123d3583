-- ?1 digest of the content, ?2 posting id
INSERT INTO assigned_postings (digest, posting_id) VALUES (?1, ?2)
