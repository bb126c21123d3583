-- a column that the rows have from now on
ALTER TABLE "{schema}".{models}
ADD COLUMN {definitions}
