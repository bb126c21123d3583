-- How many postings have events.
SELECT pg_catalog.count(*) FROM "{schema}".posting_state_rows
