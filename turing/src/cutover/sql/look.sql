-- How far the cutover is, and what the old table is called now; no name if it is gone.
SELECT
    c.phase,
    c.old_schema,
    c.old_name,
    n.nspname::text,
    t.relname::text,
    c.mapping::text,
    c.columns_digest,
    c.is_backfilled,
    c.backfilled_through,
    c.backfill_total,
    c.backfill_done
FROM "{schema}".cutovers c
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.old_table::oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
