-- a column that the rows have from now on
ALTER TABLE {models}
ADD COLUMN {definitions}
