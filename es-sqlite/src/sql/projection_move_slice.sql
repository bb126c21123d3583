-- ?1 generation, ?2 slice, ?3 position before, ?4 position after,
-- ?5 position, ?6 id, ?7 aggregate type, ?8 aggregate id, ?9 version of the event
UPDATE projection_slices
SET position = ?4,
    event_position = ?5,
    event_id = ?6,
    aggregate_type = ?7,
    aggregate_id = ?8,
    aggregate_version = ?9
WHERE generation = ?1
    AND slice = ?2
    AND position = ?3
