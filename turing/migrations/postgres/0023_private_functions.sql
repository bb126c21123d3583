-- Nobody executes a function who was not granted it; see the store's migration of this name.
DO $$
DECLARE
    made REGPROCEDURE;
BEGIN
    FOR made IN
        SELECT p.oid
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = ANY (ARRAY[
                'advance_posting_states', 'append_event', 'differing_posting_states',
                'fold_posting_states', 'get_aggregate_events', 'get_posting_state',
                'maybe_create_snapshot', 'misordered_events', 'posting_compact_json',
                'posting_event_kind', 'posting_field_count', 'posting_field_instant',
                'posting_field_int', 'posting_latest_last', 'posting_lowest_key', 'posting_note_int',
                'posting_note_text', 'posting_note_uuid', 'posting_reads_version',
                'posting_state_json', 'posting_state_schema', 'posting_states',
                'project_posting_events', 'rebuild_all_posting_states', 'rebuild_posting_state',
                'validate_event_store', 'wrong_snapshots'
            ])
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END;
$$;
