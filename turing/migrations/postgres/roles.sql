-- Roles with no more rights than their work needs. They cannot log in themselves: grant them to
-- roles that do, such as GRANT turing_writer TO worker. Run it after each migration, by somebody
-- who may create roles and owns the tables; it can be run again.
--
--   turing_owner      owns what the migrations make; whoever runs this becomes a member
--   turing_writer     runs workflows: appends events, registers postings
--   turing_reader     looks
--   turing_projector  looks, rebuilds and repairs what is derived from events
DO $$
DECLARE
    role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['turing_owner', 'turing_writer', 'turing_reader', 'turing_projector'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
    -- only a member may give tables away, and only a member can migrate them further
    IF NOT pg_catalog.pg_has_role(current_user, 'turing_owner', 'USAGE') THEN
        EXECUTE format('GRANT turing_owner TO %I', current_user);
    END IF;
END;
$$;

GRANT turing_reader TO turing_projector, turing_writer;
-- up to PostgreSQL 14 everybody may create things in the schema public, which is searched first
REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC;
GRANT USAGE ON SCHEMA "{schema}" TO turing_reader;
GRANT USAGE, CREATE ON SCHEMA "{schema}" TO turing_owner;

GRANT SELECT ON
    "{schema}"."{events}",
    "{schema}"."{events}_migrations",
    "{schema}"."{events}_snapshots",
    "{schema}"."{events}_watermark",
    "{schema}"."{events}_projection_models",
    "{schema}"."{events}_projection_slices",
    "{schema}"."{events}_projection_rows",
    "{schema}"."{events}_projection_parked",
    "{schema}"."{events}_projection_active",
    "{schema}".turing_migrations,
    "{schema}".postings,
    "{schema}".assigned_postings,
    "{schema}".posting_state_projection,
    "{schema}".posting_state_snapshots
TO turing_reader;

-- no position: it is the database's to give
GRANT INSERT (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    event_data,
    metadata,
    created_at,
    idempotency_key,
    append_size,
    append_id,
    append_part
) ON "{schema}"."{events}" TO turing_writer;
GRANT INSERT, UPDATE, DELETE ON "{schema}"."{events}_snapshots" TO turing_writer;
GRANT UPDATE ON "{schema}"."{events}_watermark" TO turing_writer, turing_projector;
-- SHARE ROW EXCLUSIVE locks, by which programs that register postings wait for one another, need
-- more than INSERT
GRANT INSERT, UPDATE ON "{schema}".assigned_postings TO turing_writer;
GRANT INSERT ON "{schema}".postings TO turing_writer;

-- the trigger that keeps the projection has its owner's rights, so who appends needs none
GRANT INSERT, UPDATE, DELETE ON "{schema}".posting_state_projection TO turing_projector;
GRANT INSERT, UPDATE, DELETE ON "{schema}".posting_state_snapshots TO turing_projector, turing_writer;
GRANT INSERT, UPDATE, DELETE ON
    "{schema}"."{events}_projection_models",
    "{schema}"."{events}_projection_slices",
    "{schema}"."{events}_projection_rows",
    "{schema}"."{events}_projection_parked"
TO turing_projector;

DO $$
DECLARE
    made TEXT;
BEGIN
    FOREACH made IN ARRAY ARRAY[
        '{events}', '{events}_migrations', '{events}_snapshots', '{events}_watermark',
        '{events}_projection_models', '{events}_projection_slices', '{events}_projection_rows',
        '{events}_projection_parked', '{events}_projection_active',
        'turing_migrations', 'assigned_postings', 'posting_state_projection', 'posting_state_snapshots'
    ] LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO turing_owner', '{schema}', made);
    END LOOP;
    FOREACH made IN ARRAY ARRAY[
        '{events}_append', '{events}_append_within', '{events}_frontier', '{events}_refuse',
        '{events}_projection_now', '{events}_projection_commit', '{events}_projection_remove',
        '{events}_projection_acquire', '{events}_projection_switch', '{events}_projection_abandon',
        'advance_posting_states', 'append_event', 'differing_posting_states', 'fold_posting_states', 'get_aggregate_events',
        'get_posting_state', 'maybe_create_snapshot', 'misordered_events', 'posting_compact_json',
        'posting_event_kind', 'posting_field_count', 'posting_field_instant', 'posting_field_int',
        'posting_latest_last', 'posting_lowest_key', 'posting_note_int', 'posting_note_text',
        'posting_note_uuid', 'posting_reads_version', 'posting_state_json', 'posting_state_schema',
        'posting_states', 'project_posting_events', 'rebuild_all_posting_states',
        'rebuild_posting_state', 'validate_event_store', 'wrong_snapshots'
    ] LOOP
        EXECUTE format('ALTER ROUTINE %I.%I OWNER TO turing_owner', '{schema}', made);
    END LOOP;
    EXECUTE format('GRANT SELECT, REFERENCES ON %I.postings TO turing_owner', '{schema}');
END;
$$;
