-- $1 the newest step that the program knows: true if each newer one says that such a program may go on
SELECT coalesce(
    bool_and(
        coalesce(substring(t.description FROM ' \(from ([0-9]+) on\)$')::bigint, t.version) <= $1
    ),
    FALSE
)
FROM {table} t
WHERE t.version > $1
