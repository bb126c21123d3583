-- $1 generation, from $2 on the values of the columns, an array of each; no key stands in them twice
INSERT INTO "{schema}".{models} AS {table} (generation, {columns})
SELECT $1::bigint, n.*
FROM unnest({arrays}) n
ON CONFLICT (generation, {key}) DO UPDATE SET
    {set}
