-- $1, $2 .. as the change has them ({types}), then the generation and the key
UPDATE "{schema}".{models} AS {table}
SET
    {set}
WHERE {table}.generation = {generation}
    AND (
        {filter}
    )
