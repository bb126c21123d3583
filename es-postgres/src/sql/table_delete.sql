-- $1, $2 .. as the change has them ({types}), then the generation and the key
DELETE FROM "{schema}".{models} AS {table}
WHERE {table}.generation = {generation}
    AND (
        {filter}
    )
