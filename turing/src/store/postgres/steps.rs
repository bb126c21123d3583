//! The steps by which Turing's own part of a database is made.

/// Turing's own tables, beside the store's, oldest first.
pub(super) const STEPS: [(&str, &str); 45] = [
    ("postings", include_str!("../../../migrations/postgres/0001_postings.sql")),
    (
        "posting state projection",
        include_str!("../../../migrations/postgres/0002_posting_state_projection.sql"),
    ),
    (
        "posting state snapshots",
        include_str!("../../../migrations/postgres/0003_posting_state_snapshots.sql"),
    ),
    ("posting notes", include_str!("../../../migrations/postgres/0004_posting_notes.sql")),
    (
        "posting event kind",
        include_str!("../../../migrations/postgres/0005_posting_event_kind.sql"),
    ),
    ("posting states", include_str!("../../../migrations/postgres/0006_posting_states.sql")),
    (
        "advance posting states",
        include_str!("../../../migrations/postgres/0007_advance_posting_states.sql"),
    ),
    (
        "project posting events",
        include_str!("../../../migrations/postgres/0008_project_posting_events.sql"),
    ),
    (
        "rebuild posting state",
        include_str!("../../../migrations/postgres/0009_rebuild_posting_state.sql"),
    ),
    (
        "differing posting states",
        include_str!("../../../migrations/postgres/0010_differing_posting_states.sql"),
    ),
    (
        "rebuild all posting states",
        include_str!("../../../migrations/postgres/0011_rebuild_all_posting_states.sql"),
    ),
    (
        "posting state json",
        include_str!("../../../migrations/postgres/0012_posting_state_json.sql"),
    ),
    ("append event", include_str!("../../../migrations/postgres/0013_append_event.sql")),
    (
        "get aggregate events",
        include_str!("../../../migrations/postgres/0014_get_aggregate_events.sql"),
    ),
    ("get posting state", include_str!("../../../migrations/postgres/0015_get_posting_state.sql")),
    (
        "posting state schema",
        include_str!("../../../migrations/postgres/0016_posting_state_schema.sql"),
    ),
    (
        "maybe create snapshot",
        include_str!("../../../migrations/postgres/0017_maybe_create_snapshot.sql"),
    ),
    ("misordered events", include_str!("../../../migrations/postgres/0018_misordered_events.sql")),
    ("wrong snapshots", include_str!("../../../migrations/postgres/0019_wrong_snapshots.sql")),
    (
        "validate event store",
        include_str!("../../../migrations/postgres/0020_validate_event_store.sql"),
    ),
    (
        "forget unshared snapshots",
        include_str!("../../../migrations/postgres/0021_forget_unshared_snapshots.sql"),
    ),
    (
        "project posting events again",
        include_str!("../../../migrations/postgres/0022_project_posting_events_again.sql"),
    ),
    ("private functions", include_str!("../../../migrations/postgres/0023_private_functions.sql")),
    ("snapshot events", include_str!("../../../migrations/postgres/0024_snapshot_events.sql")),
    (
        "maybe create snapshot of this history",
        include_str!("../../../migrations/postgres/0025_maybe_create_snapshot.sql"),
    ),
    (
        "wrong snapshots of another history",
        include_str!("../../../migrations/postgres/0026_wrong_snapshots.sql"),
    ),
    (
        "append event readable",
        include_str!("../../../migrations/postgres/0027_append_event_readable.sql"),
    ),
    ("unguarded events", include_str!("../../../migrations/postgres/0028_unguarded_events.sql")),
    (
        "validate event store and its guards",
        include_str!("../../../migrations/postgres/0029_validate_event_store.sql"),
    ),
    (
        "advance posting states by type (from 27 on)",
        include_str!("../../../migrations/postgres/0030_advance_posting_states.sql"),
    ),
    (
        "fold posting states by type (from 27 on)",
        include_str!("../../../migrations/postgres/0031_fold_posting_states.sql"),
    ),
    (
        "differing posting states by type (from 27 on)",
        include_str!("../../../migrations/postgres/0032_differing_posting_states.sql"),
    ),
    (
        "always project posting events",
        include_str!("../../../migrations/postgres/0033_always_project_posting_events.sql"),
    ),
    (
        "unguarded events whatever the role of the session",
        include_str!("../../../migrations/postgres/0034_unguarded_events.sql"),
    ),
    (
        "rebuild as the owner (from 27 on)",
        include_str!("../../../migrations/postgres/0035_rebuild_as_the_owner.sql"),
    ),
    (
        "project posting events over rows ahead (from 27 on)",
        include_str!("../../../migrations/postgres/0036_project_posting_events.sql"),
    ),
    (
        "use of the schema (from 27 on)",
        include_str!("../../../migrations/postgres/0037_use_of_the_schema.sql"),
    ),
    (
        "append event that programs read (from 27 on)",
        include_str!("../../../migrations/postgres/0038_append_event.sql"),
    ),
    (
        "posting note text to the last digit (from 27 on)",
        include_str!("../../../migrations/postgres/0039_posting_note_text.sql"),
    ),
    (
        "posting states of every digit (from 27 on)",
        include_str!("../../../migrations/postgres/0040_posting_states_of_every_digit.sql"),
    ),
    (
        "posting event kind without reserved keys (from 27 on)",
        include_str!("../../../migrations/postgres/0041_posting_event_kind.sql"),
    ),
    (
        "append event with one rule of keys (from 27 on)",
        include_str!("../../../migrations/postgres/0042_append_event.sql"),
    ),
    (
        "unguarded events with their triggers (from 27 on)",
        include_str!("../../../migrations/postgres/0043_unguarded_events.sql"),
    ),
    (
        "misordered events with typed repairs (from 27 on)",
        include_str!("../../../migrations/postgres/0044_misordered_events.sql"),
    ),
    (
        "reserved key grants (from 27 on)",
        include_str!("../../../migrations/postgres/0045_reserved_key_grants.sql"),
    ),
];
