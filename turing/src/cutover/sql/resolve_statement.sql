-- $1 posting or null, $2 kind or null, $3 which side counts, $4 why
--
-- The statement by which discrepancies are resolved, with its values. What is another one for each of them has its
-- place: $1 is the posting, and $2 the kind, by which alone something is accepted.
SELECT pg_catalog.format(
    'SELECT "{schema}".cutover_resolve(%s, %s, %L::text, %s)',
    coalesce($1::int::text, '$1'),
    CASE
        WHEN $2::text IS NULL AND $3::text = 'accepted' THEN '$2'
        ELSE pg_catalog.concat(pg_catalog.quote_nullable($2), '::text')
    END,
    $3,
    pg_catalog.concat(pg_catalog.quote_nullable($4::text), '::text')
)
