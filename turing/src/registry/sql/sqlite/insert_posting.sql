-- ?1 posting id, ?2 data as JSON
INSERT INTO postings (posting_id, data) VALUES (?1, ?2)
