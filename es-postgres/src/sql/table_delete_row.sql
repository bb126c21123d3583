-- $1, $2 .. as the change has them ({types}), then the generation and the key
--
-- The row is removed by its place, which the order of keys tells: any index of the generation would do to
-- find its key where the table was thought to be empty.
DELETE FROM "{schema}".{models} AS {table}
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
