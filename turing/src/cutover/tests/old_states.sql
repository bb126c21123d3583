-- The view that a cutover makes of its mapping, without an old table; not if the migrations have one.
DO $$
BEGIN
    IF to_regclass('"{schema}".cutover_old_states') IS NULL THEN
        CREATE VIEW "{schema}".cutover_old_states AS
        SELECT
            NULL::int AS posting_id,
            NULL::int AS current_conversation_id,
            NULL::int[] AS execution_sequence,
            NULL::jsonb AS outputs,
            NULL::boolean AS is_terminal,
            NULL::timestamptz AS updated_at,
            NULL::bigint AS counter,
            NULL::text AS problem,
            NULL::text AS row_text;
    END IF;
END;
$$;
