SELECT {schema}.rebuild_posting_state(%(posting_id)s::int)
