-- $1 generation, from $2 on the values of the columns
INSERT INTO "{schema}".{models} AS {table} (generation, {columns})
VALUES ({values})
ON CONFLICT (generation, {key}) DO UPDATE SET
    {set}
