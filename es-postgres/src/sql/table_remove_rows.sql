-- $1 generation that no model has any more, $2 limit; answers how many rows were removed
--
-- They are removed by their places: see projection_remove_rows.
WITH removed AS (
    DELETE FROM "{schema}".{models} t
    WHERE t.ctid = ANY (
        ARRAY(
            SELECT n.ctid
            FROM "{schema}".{models} n
            WHERE n.generation = $1
            LIMIT $2
        )
    )
    RETURNING t.generation
)
SELECT count(*)
FROM removed
