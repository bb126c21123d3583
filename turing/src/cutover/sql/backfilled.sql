-- What came of the backfill.
SELECT c.backfill_done, c.backfill_imported, c.backfill_written_back, c.backfill_refused
FROM "{schema}".cutovers c
