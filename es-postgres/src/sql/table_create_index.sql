-- an index of such a table
CREATE INDEX {index}
ON "{schema}".{models} (generation, {columns})
