-- Appends what other programs may write by INSERT, whether it can be read or not.
CREATE FUNCTION public.append_any(event_type TEXT, posting INT, event_data JSONB, metadata JSONB) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    LOOP
        BEGIN
            INSERT INTO public.execution_events
                (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
            SELECT
                'posting',
                posting,
                coalesce(max(e.aggregate_version), 0) + 1,
                append_any.event_type,
                append_any.event_data,
                append_any.metadata
            FROM public.execution_events e
            WHERE e.aggregate_type = 'posting'
                AND e.aggregate_id = posting;
            RETURN;
        EXCEPTION
            -- somebody else was faster
            WHEN unique_violation THEN NULL;
        END;
    END LOOP;
END;
$$;
