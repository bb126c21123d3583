-- The store's functions once more, each with one argument of another type, to which a value without a type
-- or of a narrower one could be turned: whoever calls one fails.
DO $do$
DECLARE
    it RECORD;
    other TEXT;
    arguments TEXT;
BEGIN
    FOR it IN
        SELECT p.oid, p.proname, p.proargtypes::oid[] AS types, n.number
        FROM pg_proc p
        CROSS JOIN LATERAL generate_series(1, p.pronargs) n (number)
        WHERE p.pronamespace = 'public'::regnamespace
    LOOP
        FOREACH other IN ARRAY ARRAY['text', 'double precision', 'bigint', 'boolean', 'timestamptz', 'numeric'] LOOP
            SELECT string_agg(CASE a.place WHEN it.number THEN other ELSE format_type(a.type, NULL) END, ', ' ORDER BY a.place)
            INTO arguments
            FROM unnest(it.types) WITH ORDINALITY a (type, place);
            BEGIN
                EXECUTE format(
                    $$CREATE FUNCTION public.%I(%s) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END'$$,
                    it.proname, arguments
                );
            EXCEPTION
                -- it is the one that is there
                WHEN duplicate_function THEN NULL;
            END;
        END LOOP;
    END LOOP;
END;
$do$;
