UPDATE "{schema}".cutovers SET is_backfilled = TRUE
