SELECT {state_columns}
FROM {schema}.posting_states(ARRAY[%(posting_id)s::int], ARRAY[%(at_version)s::int], TRUE)
WHERE aggregate_version > 0
