-- $1 phase
UPDATE "{schema}".cutovers SET phase = $1, changed_at = pg_catalog.now()
