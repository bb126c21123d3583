-- ?1 the table of a model
SELECT name, type, pk
FROM pragma_table_info(?1)
