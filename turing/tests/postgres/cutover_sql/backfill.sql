-- the whole backfill
DO $$
DECLARE
    step RECORD;
    after INT;
BEGIN
    LOOP
        SELECT b.* INTO step FROM cutover_backfill(after, 100) b;
        EXIT WHEN step.last IS NULL;
        after := step.last;
    END LOOP;
    UPDATE cutovers SET is_backfilled = TRUE;
END;
$$
