-- {postings} postings in every state, by the rest of their ids when these are divided by 20:
--
--    0  terminal                          8  a row, and no posting
--    1  open                              9  events, and no row
--    2  failed                           10  both, which agree
--    3  not begun                        11  both, which differ
--    4  emoji in its outputs             12  a loop
--    5  a backslash and u0000 in them    13  terminal without having done anything
--    6  a counter that disagrees         14  large
--    7  numbers, and outputs that are null
--
-- Those from 15 on are open, for programs that write meanwhile.
INSERT INTO postings (posting_id)
SELECT n
FROM generate_series(1, {postings}) n
WHERE n % 20 <> 8;

INSERT INTO posting_state_checkpoints (
    posting_id, current_conversation_id, outputs, conversation_history, is_terminal, execution_count, note,
    updated_at
)
SELECT
    n,
    s.current,
    s.outputs::jsonb,
    coalesce(
        (
            SELECT jsonb_agg(jsonb_build_object('conversation_id', h.id, 'step', 'step ' || h.place) ORDER BY h.place)
            FROM unnest(s.history) WITH ORDINALITY h (id, place)
        ),
        '[]'
    ),
    s.is_terminal,
    cardinality(s.history) + CASE WHEN n % 20 = 6 THEN n % 7 + 1 ELSE 0 END,
    s.note,
    timestamptz '2025-11-19 10:00:00+01' + n * interval '1 minute'
FROM generate_series(1, {postings}) n
JOIN (
    VALUES
        (0, 3, '{"1": "summary", "2": "grade A", "3": {"skills": ["SQL"]}}', '{1,2,3}'::int[], TRUE, NULL),
        (1, 2, '{"1": "summary"}', '{1}', FALSE, NULL),
        (2, 2, '{"1": "summary"}', '{1}', TRUE, 'script_error'),
        (3, NULL, '{}', '{}', FALSE, NULL),
        (4, 2, '{"1": "💥 Zürich 👩‍🚀", "2": {"größe": ["ß", "\ud83d\ude00"]}}', '{1,2}', FALSE, '💥'),
        (5, 1, '{"1": "a\\u0000b", "2": {"\\u0000": "\\\\u0000"}}', '{2,1}', TRUE, NULL),
        (6, 2, '{"1": "summary", "2": "twice"}', '{1,2}', FALSE, NULL),
        (
            7,
            7,
            '{"1": 1.50, "2": 12345678901234567890123, "3": -0.0, "4": 1e-7, "5": null, "6": true, "7": []}',
            '{1,2,3,4,5,6,7}',
            FALSE,
            NULL
        ),
        (8, 3, '{"3": "nobody registered it"}', '{3}', TRUE, NULL),
        (10, 1, '{"1": "the same"}', '{1}', FALSE, NULL),
        (11, 2, '{"2": "of the row"}', '{2}', TRUE, NULL),
        (12, 3, '{"1": "again", "2": "and again", "3": "out"}', '{1,2,1,2,1,2,3}', FALSE, NULL),
        (13, NULL, '{}', '{}', TRUE, 'cancelled'),
        (14, 1, format('{"1": "%s"}', repeat('large ', 4000)), '{1}', FALSE, NULL),
        (15, 9, '{"9": "before"}', '{9}', FALSE, NULL),
        (16, 9, '{"9": "before"}', '{9}', FALSE, NULL),
        (17, 9, '{"9": "before"}', '{9}', FALSE, NULL),
        (18, 9, '{"9": "before"}', '{9}', FALSE, NULL),
        (19, 9, '{"9": "before"}', '{9}', FALSE, NULL)
) s (rest, current, outputs, history, is_terminal, note) ON s.rest = n % 20;

SELECT append_event(
    'llm_call_completed',
    n,
    jsonb_build_object('output', CASE n % 20 WHEN 10 THEN 'the same' ELSE 'of the event' END),
    '{"conversation_id": 1}'
)
FROM generate_series(1, {postings}) n
WHERE n % 20 IN (9, 10, 11);
