-- $1 mapping
--
-- The statements that follow write the rest of the row.
INSERT INTO "{schema}".cutovers AS c (id, phase, mapping, backfill_done, changed_at)
VALUES (1, 1, $1::jsonb, 0, pg_catalog.now())
ON CONFLICT (id) DO UPDATE SET
    phase = excluded.phase,
    mapping = excluded.mapping,
    is_backfilled = FALSE,
    backfilled_through = NULL,
    backfill_total = NULL,
    backfill_done = excluded.backfill_done,
    changed_at = excluded.changed_at
