-- ?1 aggregate type, ?2 aggregate id, ?3 created at, ?4 aggregate version before, then for each event:
-- event id, event type, metadata, event data
--
-- What fails is undone with its request, so SQLite need not be able to undo the statement by itself.
INSERT OR FAIL INTO execution_events (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    created_at,
    metadata,
    event_data
)
VALUES
    (?5, ?1, ?2, ?4 + 1, ?6, ?3, ?7, ?8),
    (?9, ?1, ?2, ?4 + 2, ?10, ?3, ?11, ?12),
    (?13, ?1, ?2, ?4 + 3, ?14, ?3, ?15, ?16),
    (?17, ?1, ?2, ?4 + 4, ?18, ?3, ?19, ?20),
    (?21, ?1, ?2, ?4 + 5, ?22, ?3, ?23, ?24),
    (?25, ?1, ?2, ?4 + 6, ?26, ?3, ?27, ?28),
    (?29, ?1, ?2, ?4 + 7, ?30, ?3, ?31, ?32),
    (?33, ?1, ?2, ?4 + 8, ?34, ?3, ?35, ?36)
