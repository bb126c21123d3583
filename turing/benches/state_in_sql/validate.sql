SELECT count(*) FROM validate_event_store()
