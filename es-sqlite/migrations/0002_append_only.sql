-- Events are facts: nothing changes or removes them, whichever program has the file open.
--
-- INSERT OR REPLACE deletes without firing DELETE triggers, so the insert itself refuses whatever
-- would replace a row. It also keeps versions dense and the log in the order of its commits.
CREATE TRIGGER execution_events_are_appended
BEFORE INSERT ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'unique_aggregate_version: aggregate_version must be 1 more than that of the newest event of the aggregate')
    WHERE NEW.aggregate_version IS NOT 1 + coalesce(
        (
            SELECT max(aggregate_version)
            FROM execution_events
            WHERE aggregate_id = NEW.aggregate_id
                AND aggregate_type = NEW.aggregate_type
        ),
        0
    );
    SELECT RAISE(ABORT, 'unique_event_id: there is an event with this event_id')
    WHERE EXISTS (SELECT 1 FROM execution_events WHERE event_id = NEW.event_id);
    -- an unset position is not positive here
    SELECT RAISE(ABORT, 'position must be left out, or be after every other')
    WHERE NEW.position BETWEEN 1 AND (SELECT max(position) FROM execution_events);
    SELECT RAISE(ABORT, 'position must be left out, or leave room for those after it')
    WHERE NEW.position > 9000000000000000000;
END;

CREATE TRIGGER execution_events_are_not_updated
BEFORE UPDATE ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'execution_events is append-only: UPDATE is refused');
END;

CREATE TRIGGER execution_events_are_not_deleted
BEFORE DELETE ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'execution_events is append-only: DELETE is refused');
END;

PRAGMA user_version = 2;
