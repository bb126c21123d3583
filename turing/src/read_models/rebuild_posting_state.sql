-- $1 posting
SELECT "{schema}".rebuild_posting_state($1)
