-- an index of such a table
CREATE INDEX IF NOT EXISTS {index}
ON {models} (generation, {columns})
