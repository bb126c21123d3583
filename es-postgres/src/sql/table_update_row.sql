-- $1, $2 .. as the change has them ({types}), then the generation and the key
--
-- The row is changed by its place: see table_delete_row.
UPDATE "{schema}".{models} AS {table}
SET
    {set}
WHERE {table}.ctid = ANY (
    ARRAY(
        SELECT k.ctid
        FROM "{schema}".{models} k
        WHERE k.generation = {generation}
            AND {filter}
        ORDER BY {key}
        LIMIT 1
    )
)
