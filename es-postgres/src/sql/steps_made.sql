-- what a database tells of its steps
SELECT
    version,
    success,
    checksum
FROM {table}
