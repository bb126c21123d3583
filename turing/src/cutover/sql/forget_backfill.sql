UPDATE "{schema}".cutovers
SET is_backfilled = FALSE, backfilled_through = NULL, backfill_total = NULL, backfill_done = 0
