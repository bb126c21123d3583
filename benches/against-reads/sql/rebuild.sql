SELECT rebuild_posting_state($1)
