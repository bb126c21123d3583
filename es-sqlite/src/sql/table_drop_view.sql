-- a view that is to have more columns
DROP VIEW {table}
