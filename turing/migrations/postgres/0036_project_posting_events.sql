-- As before, with two differences: a row that is ahead of the events, which somebody wrote by hand, is
-- folded anew and refuses no append; and where the row security of an application's own table of
-- postings hides one, that is what is said.
CREATE OR REPLACE FUNCTION "{schema}".project_posting_events() RETURNS trigger
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
    harmless INT[];
    suspicious INT[];
    ahead INT[];
    one INT;
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'project_posting_events() is the trigger of the table of events, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

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
        IF FOUND AND row_security_active('"{schema}".postings') THEN
            RAISE EXCEPTION 'row security on "{schema}".postings may hide posting %', stranger
                USING ERRCODE = 'insufficient_privilege',
                    HINT = format(
                        'ALTER TABLE "{schema}".postings DISABLE ROW LEVEL SECURITY, or give %I a policy that shows all rows',
                        current_user
                    );
        ELSIF FOUND THEN
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
        array_agg(j.posting_id ORDER BY j.posting_id) FILTER (WHERE NOT j.may_fail),
        array_agg(j.posting_id ORDER BY j.posting_id) FILTER (WHERE j.may_fail),
        array_agg(j.posting_id ORDER BY j.posting_id) FILTER (WHERE j.is_ahead)
    INTO harmless, suspicious, ahead
    FROM (
        SELECT
            p.posting_id,
            p.aggregate_version >= a.version AS is_ahead,
            coalesce(p.aggregate_version, 0) <> a.version - 1
            OR a.bytes
                + coalesce(pg_column_size(p.outputs), 0)
                + coalesce(pg_column_size(p.ended_runs), 0)
                + coalesce(pg_column_size(p.run), 0) > 1000000 AS may_fail
        FROM (
            SELECT a.aggregate_id, min(a.aggregate_version) AS version, sum(pg_column_size(a.event_data)) AS bytes
            FROM added a
            WHERE a.aggregate_type = 'posting'
            GROUP BY a.aggregate_id
        ) a
        JOIN "{schema}".posting_state_projection p ON p.posting_id = a.aggregate_id
    ) j;
    IF harmless IS NOT NULL THEN
        PERFORM "{schema}".advance_posting_states(harmless);
    END IF;
    IF suspicious IS NULL THEN
        RETURN NULL;
    END IF;

    FOREACH one IN ARRAY suspicious LOOP
        BEGIN
            IF one = ANY (ahead) THEN
                PERFORM "{schema}".fold_posting_states(ARRAY[one]);
            ELSE
                PERFORM "{schema}".advance_posting_states(ARRAY[one]);
            END IF;
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
