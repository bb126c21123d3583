-- Appends an event and writes the old row of its posting, both or neither: what an older program calls in
-- the place of its UPDATE while both sides are written. The arguments are append_event's; `old_row` has
-- columns of the old table, also those that are not mapped, with their values as JSON.
--
-- The mapped columns are written from the events, and then those of old_row as they are given; where that says
-- something else than the events, the events take it over. What is repeated with its idempotency key writes
-- nothing. Without aggregate_version, an old row that the backfill has not reached is taken over first.
CREATE FUNCTION "{schema}".dual_write(
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
            PERFORM "{schema}".cutover_import_parts(dual_write.aggregate_id, NULL::text, NULL::text[]);
        END IF;
        PERFORM set_config('turing.cutover_dual', dual_write.aggregate_id::text, TRUE);
    END IF;
    appended := "{schema}".append_event(
        dual_write.event_type, dual_write.aggregate_id, dual_write.event_data, dual_write.metadata,
        dual_write.aggregate_type, dual_write.idempotency_key, dual_write.aggregate_version
    );
    IF current_setting('turing.cutover_dual', TRUE) = 'appended' THEN
        PERFORM "{schema}".cutover_write_row(dual_write.aggregate_id, given);
        IF given <> '{}' THEN
            PERFORM "{schema}".cutover_import_parts(dual_write.aggregate_id, NULL::text, NULL::text[]);
        END IF;
    END IF;
    PERFORM set_config('turing.cutover_dual', '', TRUE);
    RETURN appended;
END;
$$;

COMMENT ON FUNCTION "{schema}".dual_write(TEXT, INT, JSONB, JSONB, TEXT, TEXT, INT, JSONB) IS 'appends an event and writes the old row of its posting';

REVOKE ALL ON FUNCTION "{schema}".dual_write(TEXT, INT, JSONB, JSONB, TEXT, TEXT, INT, JSONB) FROM PUBLIC;
