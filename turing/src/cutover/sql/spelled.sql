-- Statements on the old table: one that reads a posting by the old name, one that counts the rows of the
-- table itself, one that counts the postings that it and the events have together, one that picks so many
-- of its postings by chance, one that copies its rows, and one that copies them once it is out of use.
SELECT
    pg_catalog.format(
        'SELECT o.* FROM %I.%I o WHERE o.%I = $1', c.old_schema, c.old_name, c.mapping ->> 'posting_id'
    ),
    pg_catalog.format('SELECT pg_catalog.count(*) FROM %I.%I', n.nspname, t.relname),
    pg_catalog.format(
        'SELECT pg_catalog.count(*) FROM (SELECT o.%I::bigint FROM %I.%I o UNION SELECT p.posting_id FROM "{schema}".posting_state_rows p) u',
        c.mapping ->> 'posting_id', n.nspname, t.relname
    ),
    pg_catalog.format(
        'SELECT o.%1$I::int FROM %2$I.%3$I o WHERE o.%1$I BETWEEN -2147483648 AND 2147483647 ORDER BY pg_catalog.random() LIMIT $1',
        c.mapping ->> 'posting_id', n.nspname, t.relname
    ),
    pg_catalog.format(
        'COPY (SELECT o.* FROM %I.%I o ORDER BY o.%I) TO STDOUT WITH (FORMAT csv, HEADER)',
        n.nspname, t.relname, c.mapping ->> 'posting_id'
    ),
    pg_catalog.format(
        'COPY (SELECT o.* FROM %I.%I o ORDER BY o.%I) TO STDOUT WITH (FORMAT csv, HEADER)',
        n.nspname, "{schema}".cutover_name(c.old_name, '_deprecated'), c.mapping ->> 'posting_id'
    )
FROM "{schema}".cutovers c
JOIN pg_catalog.pg_class t ON t.oid = c.old_table::oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
