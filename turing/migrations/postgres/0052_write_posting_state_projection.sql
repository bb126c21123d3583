-- Writes what somebody writes by hand: a row as a whole, nothing of it moved. Whoever may write the view
-- may no part of it, so the rights are the owner's, and for the view only.
CREATE FUNCTION "{schema}".write_posting_state_projection() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_changed BOOLEAN;
BEGIN
    IF TG_RELID <> '"{schema}".posting_state_projection'::regclass THEN
        RAISE EXCEPTION 'write_posting_state_projection() is the trigger of the view of that name, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO "{schema}".posting_state_rows (
            posting_id, current_conversation_id, execution_sequence, outputs, is_terminal, last_updated,
            aggregate_version, terminal, ended_runs, run
        )
        VALUES (
            NEW.posting_id, NEW.current_conversation_id, NEW.execution_sequence, NEW.outputs, NEW.is_terminal,
            NEW.last_updated, NEW.aggregate_version, NEW.terminal, NEW.ended_runs, NEW.run
        );
        RETURN NEW;
    END IF;

    SELECT (p.current_conversation_id, p.is_terminal, p.last_updated, p.aggregate_version)
            IS DISTINCT FROM
            (OLD.current_conversation_id, OLD.is_terminal, OLD.last_updated, OLD.aggregate_version)
    INTO is_changed
    FROM "{schema}".posting_state_rows p
    WHERE p.posting_id = OLD.posting_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- the row is written as a whole, as it was when the statement began
    IF is_changed THEN
        RAISE EXCEPTION 'the state of posting % has changed since the statement began', OLD.posting_id
            USING ERRCODE = 'serialization_failure', HINT = 'try again';
    END IF;
    DELETE FROM "{schema}".posting_state_completions c WHERE c.posting_id = OLD.posting_id;
    DELETE FROM "{schema}".posting_state_values v WHERE v.posting_id = OLD.posting_id;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM "{schema}".posting_state_rows p WHERE p.posting_id = OLD.posting_id;
        RETURN OLD;
    END IF;
    UPDATE "{schema}".posting_state_rows p
    SET posting_id = NEW.posting_id,
        current_conversation_id = NEW.current_conversation_id,
        execution_sequence = NEW.execution_sequence,
        outputs = NEW.outputs,
        is_terminal = NEW.is_terminal,
        last_updated = NEW.last_updated,
        aggregate_version = NEW.aggregate_version,
        terminal = NEW.terminal,
        ended_runs = NEW.ended_runs,
        run = NEW.run,
        moved_completions = 0,
        moved_bytes = 0
    WHERE p.posting_id = OLD.posting_id;
    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".write_posting_state_projection() FROM PUBLIC;

CREATE TRIGGER write_posting_state_projection
    INSTEAD OF INSERT OR UPDATE OR DELETE ON "{schema}".posting_state_projection
    FOR EACH ROW EXECUTE FUNCTION "{schema}".write_posting_state_projection();

DO $$
DECLARE
    owner TEXT;
BEGIN
    SELECT r.rolname INTO owner
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.oid = '"{schema}".posting_state_rows'::regclass
        AND r.rolname <> current_user;
    IF FOUND THEN
        EXECUTE pg_catalog.format('ALTER FUNCTION "{schema}".write_posting_state_projection() OWNER TO %I', owner);
    END IF;
END;
$$;
