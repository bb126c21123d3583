-- The triggers by which both sides are written, and the statements that make or drop them, on the old table
-- by its present name.
CREATE FUNCTION "{schema}".cutover_trigger_statements(old_table REGCLASS, posting_key TEXT, makes BOOLEAN)
RETURNS TABLE (place INT, relation TEXT, name TEXT, statement TEXT)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        w.place,
        w.relation,
        w.name,
        CASE
            WHEN NOT makes THEN format('DROP TRIGGER IF EXISTS %I ON %s', w.name, w.relation)
            WHEN s.step = 1 THEN format('CREATE TRIGGER %I %s', w.name, format(w.definition, w.relation, posting_key))
            -- whatever session_replication_role says
            ELSE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', w.relation, w.name)
        END
    FROM (VALUES
        (
            1, old_table::text, 'cutover_hold_new',
            'BEFORE INSERT OR UPDATE OF %2$I ON %1$s FOR EACH ROW EXECUTE FUNCTION "{schema}".cutover_hold_new()'
        ),
        (
            2, old_table::text, 'cutover_import_old',
            'AFTER INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION "{schema}".cutover_old_changed()'
        ),
        (
            3, old_table::text, 'cutover_refuse_truncate',
            'BEFORE TRUNCATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".cutover_refuse_truncate()'
        ),
        (
            4, '"{schema}"."{events}"', 'cutover_hold_old',
            'BEFORE INSERT ON %1$s FOR EACH ROW WHEN (NEW.aggregate_type = ''posting'' AND NEW.event_type <> ''posting_state_imported'') '
            'EXECUTE FUNCTION "{schema}".cutover_hold_old()'
        ),
        (
            5, '"{schema}"."{events}"', 'write_old_postings',
            'AFTER INSERT ON %1$s REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".cutover_events_added()'
        )
    ) w (place, relation, name, definition)
    CROSS JOIN (VALUES (1), (2)) s (step)
    WHERE makes OR s.step = 1
    ORDER BY w.place, s.step
$$;

-- The statements of an action of the cutover, in order: one transaction executes them all, with what the caller
-- writes to cutovers and to the stream cutover/1. Locks are taken in the order in which writers take them, the
-- view, the table, the events, and none for longer than a moment: no statement reads a table's rows.
--
--   create, undo-create              the view cutover_old_states; the caller has put the mapping into cutovers
--   dual-write, undo-dual-write      triggers, by which each side follows the other, and a view of the name
--                                    that the table gets with the next action. It is for programs that use
--                                    INSERT … ON CONFLICT: they can go over to it before, because the view that
--                                    takes the table's own name takes no ON CONFLICT
--   switch-reads, undo-switch-reads  the table is <name>_base; a view has its name, which reads from the
--                                    events and writes to the table. Views that read the table read it by the
--                                    view; what cannot be made again stays with the table, see cutover_warnings
--   deprecate, undo-deprecate        no triggers; the table is <name>_deprecated, the view only reads. Refused
--                                    while something else in the database is bound to the table
--   drop                             the view reads from the events alone, the table is gone
--
-- What a table can do and that view cannot: COPY … TO (COPY (SELECT …) TO can), ON CONFLICT and MERGE, TRUNCATE,
-- ctid and other columns of the server, foreign keys and triggers that are made from then on, indexes on the
-- mapped columns.
CREATE FUNCTION "{schema}".cutover_statements(action TEXT) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) AND action LIKE 'undo-%' THEN
        -- somebody has dropped the table, and with it what was bound to it
        RETURN NEXT 'DROP TRIGGER IF EXISTS cutover_hold_old ON "{schema}"."{events}"';
        RETURN NEXT 'DROP TRIGGER IF EXISTS write_old_postings ON "{schema}"."{events}"';
        RETURN NEXT 'DROP VIEW IF EXISTS "{schema}".cutover_old_states';
        RETURN NEXT 'UPDATE "{schema}".cutovers SET old_table = NULL, columns_digest = NULL, forms = NULL WHERE id = 1';
        RETURN;
    END IF;
    IF cutover.mapping IS NULL
        OR action <> 'create' AND NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table)
    THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store, or its table is gone'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;
    CASE action
        WHEN 'create' THEN
            RETURN QUERY SELECT * FROM "{schema}".cutover_create_statements();
        WHEN 'undo-create' THEN
            RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
            RETURN NEXT 'DROP VIEW IF EXISTS "{schema}".cutover_old_states';
            RETURN NEXT 'UPDATE "{schema}".cutovers SET old_table = NULL, columns_digest = NULL, forms = NULL WHERE id = 1';
        WHEN 'dual-write', 'undo-dual-write' THEN
            RETURN QUERY SELECT * FROM "{schema}".cutover_dual_write_statements(cutover, action = 'dual-write'::text);
        WHEN 'switch-reads' THEN
            RETURN QUERY SELECT * FROM "{schema}".cutover_switch_statements(cutover);
        WHEN 'undo-switch-reads' THEN
            RETURN QUERY SELECT * FROM "{schema}".cutover_switch_back_statements(cutover);
        WHEN 'deprecate', 'undo-deprecate', 'drop' THEN
            RETURN QUERY SELECT * FROM "{schema}".cutover_deprecate_statements(cutover, action);
        ELSE
            RAISE EXCEPTION 'a cutover has no action %', coalesce(quote_literal(action), 'null')
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'create, dual-write, switch-reads, deprecate, drop, or undo- and one of the first four';
    END CASE;
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_statements(TEXT) IS 'the statements of an action of the cutover, in order, for one transaction';

REVOKE ALL ON FUNCTION
    "{schema}".cutover_trigger_statements(REGCLASS, TEXT, BOOLEAN),
    "{schema}".cutover_statements(TEXT)
FROM PUBLIC;
