-- a round of validation
DO $$
DECLARE
    step RECORD;
    after INT;
BEGIN
    LOOP
        SELECT v.* INTO step FROM cutover_validate(after, 100) v;
        EXIT WHEN step.last IS NULL;
        after := step.last;
    END LOOP;
END;
$$
