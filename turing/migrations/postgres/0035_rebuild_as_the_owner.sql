-- What repairs the projection has its owner's rights, as the trigger has that keeps it, so that nobody
-- needs to be able to write it: the next append folds on from what stands there, and what is no state
-- would refuse it.
ALTER FUNCTION "{schema}".fold_posting_states(INT[]) SECURITY DEFINER;
ALTER FUNCTION "{schema}".rebuild_posting_state(INT) SECURITY DEFINER;
ALTER FUNCTION "{schema}".rebuild_all_posting_states() SECURITY DEFINER;
