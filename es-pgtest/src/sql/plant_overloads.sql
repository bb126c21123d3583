-- for each function of the schema others of its name that take another type for one or two arguments:
-- an argument without a type lets one of these be meant; each says so
DO $$
DECLARE
    made RECORD;
    one INT;
    other INT;
    types TEXT;
BEGIN
    FOR made IN
        SELECT p.proname AS name, p.pronargs::int AS count, string_to_array(p.proargtypes::text, ' ')::oid[] AS types
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '{schema}'::regnamespace
    LOOP
        FOR one IN 1 .. made.count LOOP
            FOR other IN one .. made.count LOOP
                SELECT string_agg(
                    CASE
                        WHEN t.place NOT IN (one, other) THEN format_type(t.type, NULL)
                        WHEN t.type = 'text'::regtype THEN 'varchar'
                        ELSE 'text'
                    END,
                    ', ' ORDER BY t.place
                ) INTO types
                FROM unnest(made.types) WITH ORDINALITY t (type, place);
                EXECUTE format(
                    'CREATE OR REPLACE FUNCTION {schema}.%I(%s) RETURNS INT LANGUAGE plpgsql AS $planted$
                     BEGIN RAISE EXCEPTION ''%s is planted'' USING ERRCODE = ''XXPWN''; END $planted$',
                    made.name, types, made.name
                );
            END LOOP;
        END LOOP;
    END LOOP;
END;
$$
