-- The server's functions and operators once more, for each type that they take: whoever calls one fails.
DO $do$
DECLARE
    it RECORD;
BEGIN
    FOR it IN
        SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
            AND p.prokind IN ('f', 'a')
            AND p.proname IN (
                'min', 'max', 'count', 'sum', 'hashtext', 'left', 'right', 'replace', 'lower', 'upper',
                'to_regclass', 'pg_get_serial_sequence', 'pg_has_role', 'current_database',
                'current_setting', 'set_config', 'set_masklen', 'jsonb_typeof', 'octet_length', 'now',
                'clock_timestamp', 'pg_backend_pid', 'pg_get_userbyid', 'nullif'
            )
            AND p.proretset = FALSE
    LOOP
        BEGIN
            EXECUTE format(
                $$CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END'$$,
                it.proname, replace(it.arguments, 'ORDER BY ', ''), it.result
            );
        EXCEPTION
            -- those of no ordinary types
            WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    -- of any number of values
    FOR it IN SELECT unnest(ARRAY['text', 'text, text', 'text, text, int', 'text, text, text', 'text, name', 'text, name, name']) AS arguments LOOP
        EXECUTE format(
            $$CREATE FUNCTION public.format(%s) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END'$$,
            it.arguments
        );
    END LOOP;
    FOR it IN
        SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, row_number() OVER () AS n
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace
            AND o.oprname IN ('=', '<>', '<', '>', '->', '->>', '||', '&', '#')
            AND o.oprleft <> 0
            AND o.oprleft::regtype::text IN ('text', 'integer', 'bigint', 'name', 'oid', '"char"', 'jsonb', 'uuid', 'boolean')
    LOOP
        EXECUTE format(
            $$CREATE FUNCTION public.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END'$$,
            it.n, it.l, it.r, it.result
        );
        EXECUTE format(
            'CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.operator_%s)',
            it.oprname, it.l, it.r, it.n
        );
    END LOOP;
END;
$do$;
