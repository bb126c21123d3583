SELECT max(posting_id)
FROM "{schema}".assigned_postings
