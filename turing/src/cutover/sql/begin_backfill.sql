-- $1 how many postings there are
UPDATE "{schema}".cutovers
SET is_backfilled = FALSE, backfilled_through = NULL, backfill_total = $1, backfill_done = 0,
    backfill_imported = 0, backfill_written_back = 0, backfill_refused = 0
