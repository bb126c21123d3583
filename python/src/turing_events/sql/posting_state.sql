SELECT {state_columns}
FROM {schema}.get_posting_state(%(posting_id)s::int)
