-- $1, $2 .. as the change has them, then the generation and the key
DELETE FROM "{schema}".{models} AS {table}
WHERE {table}.generation = {generation}
    AND (
        {filter}
    )
