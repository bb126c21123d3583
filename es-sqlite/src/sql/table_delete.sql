-- $1, $2 .. as the change has them
DELETE FROM {models} AS {table}
WHERE {table}.generation = :generation
    AND (
        {filter}
    )
