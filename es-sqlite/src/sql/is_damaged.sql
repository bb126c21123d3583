-- whether tables and indexes do not fit each other; a value that its column forbids is none of it
SELECT EXISTS (
    SELECT 1
    FROM pragma_integrity_check
    WHERE integrity_check <> 'ok'
        AND integrity_check NOT LIKE 'NULL value in %'
        AND integrity_check NOT LIKE 'CHECK constraint failed in %'
        AND integrity_check NOT LIKE '%NUMERIC value in %'
        AND integrity_check NOT LIKE '%TEXT value in %'
        AND integrity_check NOT LIKE 'non-% value in %'
)
