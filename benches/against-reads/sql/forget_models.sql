TRUNCATE
    execution_events_projection_models,
    execution_events_projection_slices,
    execution_events_projection_rows,
    execution_events_projection_parked
