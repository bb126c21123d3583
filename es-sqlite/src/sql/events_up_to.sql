-- ?1 position, ?2 how many positions up to it: how many of them have an event
SELECT count(*)
FROM execution_events
WHERE position > ?1 - ?2
    AND position <= ?1
