-- ?1 the table of models, or its view
SELECT name, type, pk
FROM pragma_table_info(?1)
