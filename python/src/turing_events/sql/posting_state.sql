-- A row at 0 is of a posting whose first event is missing: it has no state yet.
SELECT {state_columns}
FROM {schema}.get_posting_state(%(posting_id)s::int)
WHERE aggregate_version > 0
