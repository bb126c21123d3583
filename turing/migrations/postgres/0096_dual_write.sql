-- As before, but for what was accepted to differ: the event does not write over it, and only a column of old_row does.
CREATE OR REPLACE FUNCTION "{schema}".dual_write(
    event_type TEXT,
    aggregate_id INT,
    event_data JSONB DEFAULT '{}',
    metadata JSONB DEFAULT NULL,
    aggregate_type TEXT DEFAULT 'posting',
    idempotency_key TEXT DEFAULT NULL,
    aggregate_version INT DEFAULT NULL,
    old_row JSONB DEFAULT NULL
) RETURNS "{schema}"."{events}"
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    given JSONB := coalesce(nullif(dual_write.old_row, 'null'), '{}');
    strange TEXT;
    appended "{schema}"."{events}";
    unkept TEXT[];
    parts TEXT[];
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF (cutover.phase BETWEEN 2 AND 4) IS NOT TRUE THEN
        RAISE EXCEPTION 'no dual writing: %', CASE coalesce(cutover.phase, 0)
            WHEN 0 THEN 'there is no cutover'
            WHEN 1 THEN 'the cutover is created only'
            ELSE format('%I.%I is deprecated', cutover.old_schema, cutover.old_name)
        END
            USING ERRCODE = 'ES009',
                HINT = CASE coalesce(cutover.phase, 0)
                    WHEN 0 THEN 'turing cutover create --mapping FILE begins one; append_event appends without'
                    WHEN 1 THEN 'turing cutover dual-write; append_event appends without'
                    ELSE 'append_event appends what the old table need not know any more'
                END;
    END IF;
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'old_row is no object, but of the type %', jsonb_typeof(given)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'give an object of columns and values';
    END IF;
    IF given <> '{}' AND dual_write.aggregate_type <> 'posting' THEN
        RAISE EXCEPTION 'old_row is of a posting, and % % is none', dual_write.aggregate_type, dual_write.aggregate_id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'leave it out';
    END IF;
    SELECT min(g.name) INTO strange
    FROM jsonb_object_keys(given) g (name)
    WHERE NOT EXISTS (
        SELECT
        FROM pg_attribute a
        WHERE a.attrelid = cutover.old_table AND a.attname = g.name AND a.attnum > 0 AND NOT a.attisdropped
    );
    IF strange IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %, which old_row gives', cutover.old_table, quote_ident(strange)
            USING ERRCODE = 'undefined_column',
                HINT = coalesce('did you mean ' || quote_ident("{schema}".cutover_nearest(strange, ARRAY(
                    SELECT a.attname::text FROM pg_attribute a
                    WHERE a.attrelid = cutover.old_table AND a.attnum > 0 AND NOT a.attisdropped
                ))) || '?', 'leave it out');
    END IF;
    IF given ->> (cutover.mapping ->> 'posting_id') <> dual_write.aggregate_id::text THEN
        RAISE EXCEPTION 'old_row is of posting %, and the event of posting %',
            given ->> (cutover.mapping ->> 'posting_id'), dual_write.aggregate_id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'give one of them, or the same';
    END IF;

    IF dual_write.aggregate_type = 'posting' THEN
        IF dual_write.aggregate_version IS NULL
            AND NOT (cutover.is_backfilled AND EXISTS (
                SELECT FROM "{schema}".posting_state_rows p WHERE p.posting_id = dual_write.aggregate_id
            ))
        THEN
            IF NOT "{schema}".cutover_hold(dual_write.aggregate_id, FALSE) THEN
                RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', dual_write.aggregate_id
                    USING ERRCODE = 'serialization_failure';
            END IF;
            PERFORM "{schema}".cutover_import_parts(
                dual_write.aggregate_id, NULL::text, "{schema}".cutover_unkept_parts(dual_write.aggregate_id)
            );
        END IF;
        PERFORM set_config('turing.cutover_dual', dual_write.aggregate_id::text, TRUE);
    END IF;
    appended := "{schema}".append_event(
        dual_write.event_type, dual_write.aggregate_id, dual_write.event_data, dual_write.metadata,
        dual_write.aggregate_type, dual_write.idempotency_key, dual_write.aggregate_version
    );
    IF current_setting('turing.cutover_dual', TRUE) = 'appended' THEN
        unkept := "{schema}".cutover_unkept_parts(dual_write.aggregate_id);
        PERFORM "{schema}".cutover_write_row(dual_write.aggregate_id, given, unkept);
        IF given <> '{}' THEN
            IF unkept IS NOT NULL THEN
                parts := unkept || ARRAY(
                    SELECT m.key FROM jsonb_each_text(cutover.mapping) m
                    WHERE m.key IN ('current', 'outputs', 'history', 'terminal')
                        AND given ? m.value
                );
            END IF;
            PERFORM "{schema}".cutover_import_parts(dual_write.aggregate_id, NULL::text, parts);
        END IF;
        IF unkept IS NOT NULL THEN
            PERFORM "{schema}".cutover_note_kept(dual_write.aggregate_id);
        END IF;
    END IF;
    PERFORM set_config('turing.cutover_dual', '', TRUE);
    RETURN appended;
END;
$$;
