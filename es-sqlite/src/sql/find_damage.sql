-- ?1 whether the entries of indexes are left out, ?2 a table or null: what is damaged of the table, or
-- of the file; a value that its column forbids is none of it
SELECT found
FROM (
    SELECT quick_check AS found
    FROM pragma_quick_check(?2)
    WHERE ?1
    UNION ALL
    SELECT integrity_check
    FROM pragma_integrity_check(?2)
    WHERE NOT ?1
)
WHERE found <> 'ok'
    AND found NOT LIKE 'NULL value in %'
    AND found NOT LIKE 'CHECK constraint failed in %'
    AND found NOT LIKE '%NUMERIC value in %'
    AND found NOT LIKE '%TEXT value in %'
    AND found NOT LIKE 'non-% value in %'
