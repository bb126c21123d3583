SELECT rebuild_all_posting_states()
