-- ?1 whether the indexes are left out: whether the table of events, or what it has of indexes, is
-- damaged; a value that its column forbids is none of it
SELECT EXISTS (
    SELECT 1
    FROM (
        SELECT quick_check AS found
        FROM pragma_quick_check('execution_events')
        WHERE ?1
        UNION ALL
        SELECT integrity_check
        FROM pragma_integrity_check('execution_events')
        WHERE NOT ?1
    )
    WHERE found <> 'ok'
        AND found NOT LIKE 'NULL value in %'
        AND found NOT LIKE 'CHECK constraint failed in %'
        AND found NOT LIKE '%NUMERIC value in %'
        AND found NOT LIKE '%TEXT value in %'
        AND found NOT LIKE 'non-% value in %'
)
