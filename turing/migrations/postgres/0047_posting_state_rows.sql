-- posting_state_projection becomes a view, so that what it shows can be stored in parts. Its table is
-- posting_state_rows from here on, with its index, its constraints, and the triggers and references that
-- others made.
--
-- What others made that reads the columns of the table would read parts of states without a word, and row
-- security would guard nothing: both are refused by name.
DO $$
DECLARE
    state_table CONSTANT OID := '"{schema}".posting_state_projection'::regclass;
    -- what is made again below
    ours CONSTANT OID[] := ARRAY[
        '"{schema}".posting_state_json("{schema}".posting_state_projection)'::regprocedure,
        '"{schema}".get_posting_state(INT)'::regprocedure
    ]::oid[];
    stranger TEXT;
BEGIN
    SELECT pg_catalog.string_agg(DISTINCT coalesce(
        CASE WHEN d.classid = 'pg_rewrite'::regclass THEN (
            SELECT 'view ' || r.ev_class::regclass::text FROM pg_catalog.pg_rewrite r WHERE r.oid = d.objid
        ) END,
        pg_catalog.pg_describe_object(d.classid, d.objid, 0)
    ), ', ') INTO stranger
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_type t ON t.oid = c.reltype
    JOIN pg_catalog.pg_depend d ON d.deptype = 'n'
        AND (
            d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
            OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
        )
        AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass)
    WHERE c.oid = state_table
        AND NOT (d.classid = 'pg_proc'::regclass AND d.objid = ANY (ours));
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'posting_state_projection becomes a view, and this reads the table: %', stranger
            USING ERRCODE = 'ES003',
                HINT = 'drop it, migrate, and make it again';
    END IF;
    SELECT pg_catalog.string_agg(pg_catalog.pg_describe_object(d.classid, d.objid, 0), ', ') INTO stranger
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_proc'::regclass
        AND d.refobjid = ANY (ours);
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'posting_state_json and get_posting_state are made again, and this calls them: %', stranger
            USING ERRCODE = 'ES003',
                HINT = 'drop it, migrate, and make it again';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = state_table AND c.relrowsecurity) THEN
        RAISE EXCEPTION 'posting_state_projection becomes a view, and a view has no row security of its own'
            USING ERRCODE = 'ES003',
                HINT = 'ALTER TABLE "{schema}".posting_state_projection DISABLE ROW LEVEL SECURITY, and take SELECT from whoever shall not see all';
    END IF;

    -- who may what, for the end of this step
    PERFORM pg_catalog.set_config('turing.grants', coalesce(pg_catalog.jsonb_agg(g.statement), '[]')::text, TRUE)
    FROM (
        SELECT pg_catalog.format(
            'GRANT %s ON "{schema}".posting_state_projection TO %s%s',
            a.privilege_type, w.grantee, w.ending
        )
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a, LATERAL (
            SELECT
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        ) w (grantee, ending)
        WHERE c.oid = state_table
            AND a.grantee <> c.relowner
            AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        UNION ALL
        SELECT pg_catalog.format(
            'GRANT %s (%I) ON "{schema}".posting_state_projection TO %s%s',
            a.privilege_type, t.attname, w.grantee, w.ending
        )
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid, pg_catalog.aclexplode(t.attacl) a, LATERAL (
            SELECT
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        ) w (grantee, ending)
        WHERE c.oid = state_table
            AND a.grantee <> c.relowner
            AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE')
        UNION ALL
        SELECT DISTINCT pg_catalog.format(
            'REVOKE ALL ON "{schema}".posting_state_rows FROM %s CASCADE',
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        )
        FROM pg_catalog.pg_class c, LATERAL (
            SELECT r.grantee FROM pg_catalog.aclexplode(c.relacl) r
            UNION ALL
            SELECT f.grantee
            FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) f
            WHERE t.attrelid = c.oid
        ) a
        WHERE c.oid = state_table
            AND a.grantee <> c.relowner
        UNION ALL
        SELECT pg_catalog.format(
            'GRANT EXECUTE ON FUNCTION "{schema}".%I(%s) TO %s%s',
            p.proname,
            CASE p.proname WHEN 'get_posting_state' THEN 'INT' ELSE '"{schema}".posting_state_projection' END,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
            CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        )
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.oid = ANY (ours)
            AND a.grantee <> p.proowner
    ) g (statement);
END;
$$;

DROP FUNCTION "{schema}".get_posting_state(INT);
DROP FUNCTION "{schema}".posting_state_json("{schema}".posting_state_projection);

ALTER TABLE "{schema}".posting_state_projection RENAME TO posting_state_rows;

COMMENT ON TABLE "{schema}".posting_state_rows IS 'where each posting stands, with the newest part of what grows; read posting_state_projection';

CREATE VIEW "{schema}".posting_state_projection AS
SELECT
    p.posting_id, p.current_conversation_id, p.execution_sequence, p.outputs, p.is_terminal, p.last_updated,
    p.aggregate_version, p.terminal, p.ended_runs, p.run
FROM "{schema}".posting_state_rows p;

ALTER VIEW "{schema}".posting_state_projection ALTER COLUMN is_terminal SET DEFAULT FALSE;
ALTER VIEW "{schema}".posting_state_projection ALTER COLUMN aggregate_version SET DEFAULT 0;

COMMENT ON VIEW "{schema}".posting_state_projection IS 'where each posting stands, folded from its events';
COMMENT ON COLUMN "{schema}".posting_state_projection.current_conversation_id IS 'the lowest open conversation; if none is open, the last one';
COMMENT ON COLUMN "{schema}".posting_state_projection.execution_sequence IS 'the conversations that completed, in the order of aggregate_version, over all runs';
COMMENT ON COLUMN "{schema}".posting_state_projection.outputs IS 'the latest output of each conversation, by its id';
COMMENT ON COLUMN "{schema}".posting_state_projection.is_terminal IS 'true from posting_terminal until the next run is entered';
COMMENT ON COLUMN "{schema}".posting_state_projection.last_updated IS 'when the last folded event was recorded';
COMMENT ON COLUMN "{schema}".posting_state_projection.aggregate_version IS 'how many events are folded: those without a gap from version 1';
COMMENT ON COLUMN "{schema}".posting_state_projection.terminal IS 'how the posting ended, while it is terminal';
COMMENT ON COLUMN "{schema}".posting_state_projection.ended_runs IS 'how the posting ended in each run, by the id of the run';
COMMENT ON COLUMN "{schema}".posting_state_projection.run IS 'the way through the run that was entered last';

-- As before, of the view's rows.
CREATE FUNCTION "{schema}".posting_state_json(state "{schema}".posting_state_projection) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'current_conversation_id', (state).current_conversation_id,
    'execution_sequence', coalesce((state).execution_sequence, '{}'),
    'outputs', coalesce((state).outputs, '{}'),
    'is_terminal', coalesce((state).is_terminal, FALSE),
    'terminal', (state).terminal,
    'ended_runs', coalesce((state).ended_runs, '{}'),
    'run', (state).run
);

COMMENT ON FUNCTION "{schema}".posting_state_json("{schema}".posting_state_projection) IS 'the state of a posting as Turing''s programs write and read it';

REVOKE ALL ON FUNCTION "{schema}".posting_state_json("{schema}".posting_state_projection) FROM PUBLIC;

CREATE FUNCTION "{schema}".get_posting_state(posting_id INT)
RETURNS SETOF "{schema}".posting_state_projection
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.*
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = get_posting_state.posting_id
$$;

COMMENT ON FUNCTION "{schema}".get_posting_state(INT) IS 'where a posting stands: its row of posting_state_projection';

REVOKE ALL ON FUNCTION "{schema}".get_posting_state(INT) FROM PUBLIC;

-- who might what, and what belonged to whom
DO $$
DECLARE
    owner TEXT;
    granted TEXT;
BEGIN
    SELECT r.rolname INTO owner
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.oid = '"{schema}".posting_state_rows'::regclass
        AND r.rolname <> current_user;
    IF FOUND THEN
        EXECUTE pg_catalog.format('ALTER VIEW "{schema}".posting_state_projection OWNER TO %I', owner);
        EXECUTE pg_catalog.format('ALTER FUNCTION "{schema}".get_posting_state(INT) OWNER TO %I', owner);
        EXECUTE pg_catalog.format('ALTER FUNCTION "{schema}".posting_state_json("{schema}".posting_state_projection) OWNER TO %I', owner);
    END IF;
    FOR granted IN
        SELECT pg_catalog.jsonb_array_elements_text(pg_catalog.current_setting('turing.grants')::jsonb)
    LOOP
        EXECUTE granted;
    END LOOP;
END;
$$;
