SELECT max(posting_id) FROM assigned_postings
