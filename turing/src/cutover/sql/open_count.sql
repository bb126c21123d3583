-- How many discrepancies are open.
SELECT pg_catalog.count(*) FROM "{schema}".cutover_open_discrepancies
