-- $1 up to which posting, $2 how many more, $3 and how many of these were imported, $4 written back and
-- $5 refused
UPDATE "{schema}".cutovers
SET backfilled_through = $1, backfill_done = backfill_done + $2,
    backfill_imported = backfill_imported + $3,
    backfill_written_back = backfill_written_back + $4,
    backfill_refused = backfill_refused + $5
