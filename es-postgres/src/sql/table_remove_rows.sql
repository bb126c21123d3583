-- $1 generation that no model has any more, $2 limit, from $3 on a key; removes what is behind it, and
-- answers the last key
--
-- They are removed by their places: see projection_remove_rows. What the parts before have removed stays
-- in the index for as long as somebody has an old snapshot, and would be passed again by each. A place is of
-- one partition, if somebody has made some, so the generation is asked for, too.
WITH part AS (
    SELECT t.ctid, {key}
    FROM "{schema}".{models} t
    WHERE t.generation = $1
        AND {filter}
    ORDER BY {key}
    LIMIT $2
),
removed AS (
    DELETE FROM "{schema}".{models} t
    WHERE t.ctid = ANY (ARRAY(SELECT part.ctid FROM part))
        AND t.generation = $1
)
SELECT {key}
FROM part
ORDER BY {key}
OFFSET (SELECT greatest(count(*) - 1, 0) FROM part)
