-- $1 the table of events, as text that names it
--
-- What stands there; nulls if nothing does.
SELECT
    current_setting('server_version_num')::int AS server_version,
    current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS is_standby,
    current_setting('fsync')::bool
    OR coalesce(current_setting('es_postgres.fsync_off', TRUE), '') = 'accepted' AS is_durable,
    to_regclass($1)::oid::bigint AS events_oid,
    EXISTS (
        SELECT
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.refobjid = to_regclass($1)
            AND d.classid = 'pg_catalog.pg_class'::regclass
            AND d.deptype = 'i'
            AND a.attname = 'position'
            AND a.attidentity = 'a'
            AND s.seqcache = 1
            AND s.seqincrement = 1
            AND NOT s.seqcycle
    ) AS has_plain_positions,
    (
        -- not format_type, which quotes as the database is set to
        SELECT CASE t.typname WHEN 'int4' THEN 'integer' ELSE t.typname::text END
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = to_regclass($1)
            AND a.attname = 'aggregate_id'
            AND NOT a.attisdropped
    ) AS id_type
