-- Keeps posting_state_projection, whoever inserts events and however many at once.
--
-- The rows of the postings are locked first, in the order of their ids, so that two inserts cannot
-- wait for one another. What then is folded is looked up by a later statement: an insert that has
-- waited sees what it waited for, and of two that commit in the wrong order the later one folds both.
-- Each row is written even if nothing is folded, so that a transaction with an older view of the
-- database (REPEATABLE READ) cannot fold beside it unnoticed: it gets serialization_failure.
--
-- No content makes an append fail. A state that the database cannot hold, such as outputs of more than
-- 256 MB together, leaves its row behind, and validate_event_store tells of it. Only where that is
-- possible are postings folded one by one, each in a subtransaction: those cost something.
--
-- It has its owner's rights: who appends need not be able to write what is derived from events.
CREATE FUNCTION "{schema}".project_posting_events() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    touched INT[];
    are_new BOOLEAN;
    stranger INT;
    may_fail BOOLEAN;
    one INT;
BEGIN
    SELECT array_agg(DISTINCT a.aggregate_id ORDER BY a.aggregate_id), bool_or(a.aggregate_version = 1)
    INTO touched, are_new
    FROM added a
    WHERE a.aggregate_type = 'posting';
    IF touched IS NULL THEN
        RETURN NULL;
    END IF;
    IF are_new THEN
        SELECT t.posting_id INTO stranger
        FROM unnest(touched) t (posting_id)
        WHERE NOT EXISTS (SELECT FROM "{schema}".postings p WHERE p.posting_id = t.posting_id)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'posting % is not registered, so it can have no events', stranger
                USING ERRCODE = 'foreign_key_violation',
                    HINT = format('INSERT INTO "{schema}".postings (posting_id) VALUES (%s)', stranger),
                    SCHEMA = '{schema}',
                    TABLE = '{events}',
                    COLUMN = 'aggregate_id';
        END IF;
    END IF;

    INSERT INTO "{schema}".posting_state_projection AS p (posting_id)
    SELECT t.posting_id
    FROM unnest(touched) t (posting_id)
    ON CONFLICT (posting_id) DO UPDATE SET aggregate_version = p.aggregate_version WHERE FALSE;

    SELECT
        coalesce(sum(a.bytes) > 60000, FALSE)
        OR bool_or(p.aggregate_version + 1 < a.version OR pg_column_size(p.outputs) > 2000000)
    INTO may_fail
    FROM (
        SELECT a.aggregate_id, min(a.aggregate_version) AS version, sum(pg_column_size(a.event_data)) AS bytes
        FROM added a
        WHERE a.aggregate_type = 'posting'
        GROUP BY a.aggregate_id
    ) a
    JOIN "{schema}".posting_state_projection p ON p.posting_id = a.aggregate_id;
    IF NOT may_fail THEN
        PERFORM "{schema}".advance_posting_states(touched);
        RETURN NULL;
    END IF;

    FOREACH one IN ARRAY touched LOOP
        BEGIN
            PERFORM "{schema}".advance_posting_states(ARRAY[one]);
        EXCEPTION
            WHEN program_limit_exceeded OR statement_too_complex THEN
                RAISE WARNING 'the state of posting % is too large for posting_state_projection, and stays as it was: %',
                    one, SQLERRM;
                UPDATE "{schema}".posting_state_projection p
                SET aggregate_version = p.aggregate_version
                WHERE p.posting_id = one;
        END;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE TRIGGER project_posting_events
AFTER INSERT ON "{schema}"."{events}"
REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".project_posting_events();

COMMENT ON FUNCTION "{schema}".project_posting_events() IS 'keeps posting_state_projection as events are inserted';
