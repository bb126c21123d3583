-- $1, $2 .. as the change has them
UPDATE {models} AS {table}
SET
    {set}
WHERE {table}.generation = :generation
    AND (
        {filter}
    )
