-- ?1 a name; what has it
SELECT type, sql
FROM sqlite_schema
WHERE name = ?1
