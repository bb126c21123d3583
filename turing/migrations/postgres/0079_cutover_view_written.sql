-- Writes through the view that has the old table's name once reads are switched: the table itself is
-- written, whose triggers have the events take it over, and what the view shows then is what RETURNING
-- answers. Identity columns that are left out are the table's to give, and generated ones are refused as the
-- table refuses them.
--
-- The server has computed the new row from the one of its view of the database, and cannot compute it again as
-- it does for a table. So if somebody else has changed the row since, the statement has to be tried again.
CREATE FUNCTION "{schema}".cutover_view_written() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    base TEXT;
    key TEXT;
    is_given BOOLEAN;
    part RECORD;
    columns TEXT[] := '{}';
    shown RECORD;
    posting_key BIGINT;
    rows INT;
    statement TEXT;
    told TEXT;
    code TEXT;
    detail TEXT;
    hint TEXT;
    broken TEXT;
    of_column TEXT;
    of_table TEXT;
    of_schema TEXT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF TG_TABLE_NAME IS DISTINCT FROM cutover.old_name OR TG_TABLE_SCHEMA IS DISTINCT FROM cutover.old_schema THEN
        PERFORM "{schema}".cutover_refuse_old_snapshot();
        RAISE EXCEPTION 'cutover_view_written() is the trigger of the view that takes the place of an old table, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- the name is the present one also where the transaction sees the phase of before
    IF cutover.phase > 4
        OR cutover.old_table::text = format('%I.%I', cutover.old_schema, "{schema}".cutover_name(cutover.old_name, '_deprecated'::text))
    THEN
        RAISE EXCEPTION '%.% is deprecated: its states come from events, and nothing is written to it any more',
            quote_ident(TG_TABLE_SCHEMA), quote_ident(TG_TABLE_NAME)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'append events, by append_event for instance; or turing cutover rollback, as long as the table is there';
    END IF;
    base := cutover.old_table;
    key := cutover.mapping ->> 'posting_id';

    FOR part IN
        SELECT a.attname::text AS name, a.attgenerated <> '' AS is_generated, a.attidentity <> '' AS is_identity
        FROM pg_attribute a
        WHERE a.attrelid = cutover.old_table
            AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    LOOP
        IF TG_OP = 'INSERT' THEN
            EXECUTE format('SELECT ($1).%I IS NOT NULL', part.name) INTO is_given USING NEW;
        ELSIF TG_OP = 'UPDATE' THEN
            EXECUTE format('SELECT ($1).%1$I::text IS DISTINCT FROM ($2).%1$I::text', part.name) INTO is_given USING OLD, NEW;
        END IF;
        IF is_given AND part.is_generated THEN
            RAISE EXCEPTION 'column % can only have its default: it is a generated column', quote_ident(part.name)
                USING ERRCODE = 'generated_always';
        END IF;
        IF is_given OR TG_OP = 'INSERT' AND NOT part.is_generated AND NOT part.is_identity THEN
            columns := columns || part.name;
        END IF;
    END LOOP;

    IF TG_OP = 'INSERT' THEN
        statement := format(
            'INSERT INTO %1$s AS b (%2$s) OVERRIDING SYSTEM VALUE SELECT %3$s RETURNING b.%4$I',
            base,
            (SELECT string_agg(quote_ident(c.name), ', ') FROM unnest(columns) c (name)),
            (SELECT string_agg(format('($2).%I', c.name), ', ') FROM unnest(columns) c (name)),
            key
        );
    ELSE
        EXECUTE format('SELECT FROM %1$s b WHERE b.%2$I = ($1).%2$I FOR NO KEY UPDATE', base, key) USING OLD;
        EXECUTE format('SELECT v.* FROM %1$I.%2$I v WHERE v.%3$I = ($1).%3$I', cutover.old_schema, cutover.old_name, key)
            INTO shown USING OLD;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF rows = 0 THEN
            RETURN NULL;
        END IF;
        IF shown::text <> OLD::text THEN
            EXECUTE format('SELECT ($1).%I', key) INTO posting_key USING OLD;
            RAISE EXCEPTION 'the old row of posting % has changed since the statement began; try again', posting_key
                USING ERRCODE = 'serialization_failure';
        END IF;
        -- an UPDATE also where nothing changes: the table may have triggers of its own
        statement := format(
            CASE TG_OP
                WHEN 'DELETE' THEN 'DELETE FROM %1$s b'
                ELSE 'UPDATE %1$s b SET %2$s'
            END || ' WHERE b.%3$I OPERATOR(pg_catalog.=) ($1).%3$I RETURNING b.%3$I',
            base,
            (
                SELECT string_agg(format('%1$I = ($2).%1$I', c.name), ', ')
                FROM unnest(CASE WHEN columns = '{}' THEN ARRAY[key] ELSE columns END) c (name)
            ),
            key
        );
    END IF;

    -- where the table's own triggers look, which have the rights of this function: no path of the session's
    PERFORM set_config('search_path', format('%I, pg_temp', cutover.old_schema), TRUE);
    BEGIN
        IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
            EXECUTE statement INTO posting_key USING NEW, NEW;
        ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
            EXECUTE statement INTO posting_key USING OLD, NEW;
        ELSE
            EXECUTE statement INTO posting_key USING OLD, OLD;
        END IF;
    EXCEPTION
        WHEN integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS
                told = MESSAGE_TEXT, code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
                broken = CONSTRAINT_NAME, of_column = COLUMN_NAME, of_table = TABLE_NAME, of_schema = SCHEMA_NAME;
            RAISE EXCEPTION USING
                MESSAGE = told,
                ERRCODE = code,
                -- that of the others quotes the row, of which not everybody may read every column
                DETAIL = CASE WHEN code OPERATOR(pg_catalog.=) ANY ('{23503,23505}'::pg_catalog.text[]) THEN detail ELSE '' END,
                HINT = CASE
                    WHEN code OPERATOR(pg_catalog.=) '23505' AND TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN pg_catalog.format(
                        'INSERT … ON CONFLICT is taken by the table, and not by the view: %s', base
                    )
                    ELSE hint
                END,
                CONSTRAINT = broken, COLUMN = of_column, TABLE = of_table, SCHEMA = of_schema;
    END;
    PERFORM pg_catalog.set_config('search_path'::pg_catalog.text, 'pg_catalog, pg_temp'::pg_catalog.text, TRUE);
    IF TG_OP <> 'DELETE' AND posting_key IS NOT NULL THEN
        EXECUTE format('SELECT v.* FROM %I.%I v WHERE v.%I = $1', cutover.old_schema, cutover.old_name, key)
            INTO NEW USING posting_key;
    END IF;
    -- a trigger of the table may have kept it out
    IF posting_key IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_view_written() FROM PUBLIC;
