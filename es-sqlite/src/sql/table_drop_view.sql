-- a view of other columns
DROP VIEW {table}
