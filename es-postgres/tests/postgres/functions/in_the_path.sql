-- functions, operators and types of the names that the triggers of an INSERT use; each says so if it is meant
DO $$
DECLARE
    made RECORD;
BEGIN
    CREATE SCHEMA hostile;
    FOR made IN
        SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
            AND p.proname IN ('octet_length', 'isfinite', 'jsonb_typeof', 'split_part', 'quote_literal', 'pg_sequence_last_value')
        UNION ALL VALUES
            ('pg_column_size', 'jsonb'),
            ('concat', 'text, VARIADIC text[]'),
            ('bound', 'text')
    LOOP
        EXECUTE format(
            'CREATE FUNCTION hostile.%I(%s) RETURNS TEXT LANGUAGE plpgsql AS $planted$
             BEGIN RAISE EXCEPTION ''%s is planted'' USING ERRCODE = ''XXPWN''; END $planted$',
            made.name, made.arguments, made.name
        );
    END LOOP;
    FOR made IN
        SELECT o.oid, o.oprname AS name, o.oprleft::regtype AS l, o.oprright::regtype AS r
        FROM pg_catalog.pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace
            AND o.oprname IN ('>', '<=', '=', '<>', '~', '@>', '#>')
            AND o.oprleft::regtype::text IN ('integer', 'bigint', 'text', 'jsonb', 'oid')
            AND o.oprright::regtype::text IN ('integer', 'bigint', 'text', 'jsonb', 'oid', 'text[]')
    LOOP
        EXECUTE format(
            'CREATE FUNCTION hostile.planted_%s(%s, %s) RETURNS BOOLEAN LANGUAGE plpgsql AS $planted$
             BEGIN RAISE EXCEPTION ''%s is planted'' USING ERRCODE = ''XXPWN''; END $planted$',
            made.oid, made.l, made.r, made.name
        );
        EXECUTE format(
            'CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.planted_%s)',
            made.name, made.l, made.r, made.oid
        );
    END LOOP;
    CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (hostile.bound(VALUE) IS NULL);
    CREATE TABLE hostile.execution_events (position BIGINT);
END;
$$
