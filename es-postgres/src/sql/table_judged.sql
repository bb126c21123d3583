-- how many rows a statement writes, and a column in which it leaves what its field does not take
WITH written AS (
    {statement}
    RETURNING
        CASE
            {cases}
        END AS unfit
)
SELECT count(*), min(written.unfit)
FROM written
