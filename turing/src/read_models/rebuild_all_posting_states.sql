SELECT "{schema}".rebuild_all_posting_states()::bigint
