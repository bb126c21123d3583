-- $1 tables of models; whether nothing but their rows tells what was written into them, and in which order:
-- nothing is called, and nothing is checked but the key of each row
SELECT NOT EXISTS (
    SELECT
    FROM pg_catalog.unnest($1::text[]) t (name)
    LEFT JOIN (
        SELECT c.*
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = '{schema}'
    ) c ON c.relname = t.name
    WHERE (
            c.relkind = 'r'
            AND NOT c.relhastriggers
            AND NOT c.relhasrules
            AND NOT c.relrowsecurity
            AND NOT c.relispartition
            AND NOT c.relhassubclass
        ) IS NOT TRUE
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
        OR EXISTS (
            SELECT
            FROM pg_catalog.pg_constraint k
            WHERE k.conrelid = c.oid
                AND k.contype NOT IN ('p', 'n')
        )
        OR EXISTS (
            SELECT
            FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid
                AND NOT i.indisprimary
                AND (i.indisunique OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        )
        OR EXISTS (
            SELECT
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
            WHERE a.attrelid = c.oid
                AND a.attnum > 0
                AND NOT a.attisdropped
                AND (a.atthasdef OR a.attnotnull AND a.attnum <> ALL (i.indkey))
        )
)
