//! The steps by which Turing's own part of a database is made.

macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../../../migrations/postgres/", $name, ".sql"))
    };
}

/// Turing's own tables, beside the store's, oldest first.
pub(super) const STEPS: [(&str, &str); 47] = [
    ("postings", sql!("0001_postings")),
    ("posting state projection", sql!("0002_posting_state_projection")),
    ("posting state snapshots", sql!("0003_posting_state_snapshots")),
    ("posting notes", sql!("0004_posting_notes")),
    ("posting event kind", sql!("0005_posting_event_kind")),
    ("posting states", sql!("0006_posting_states")),
    ("advance posting states", sql!("0007_advance_posting_states")),
    ("project posting events", sql!("0008_project_posting_events")),
    ("rebuild posting state", sql!("0009_rebuild_posting_state")),
    ("differing posting states", sql!("0010_differing_posting_states")),
    ("rebuild all posting states", sql!("0011_rebuild_all_posting_states")),
    ("posting state json", sql!("0012_posting_state_json")),
    ("append event", sql!("0013_append_event")),
    ("get aggregate events", sql!("0014_get_aggregate_events")),
    ("get posting state", sql!("0015_get_posting_state")),
    ("posting state schema", sql!("0016_posting_state_schema")),
    ("maybe create snapshot", sql!("0017_maybe_create_snapshot")),
    ("misordered events", sql!("0018_misordered_events")),
    ("wrong snapshots", sql!("0019_wrong_snapshots")),
    ("validate event store", sql!("0020_validate_event_store")),
    ("forget unshared snapshots", sql!("0021_forget_unshared_snapshots")),
    ("project posting events again", sql!("0022_project_posting_events_again")),
    ("private functions", sql!("0023_private_functions")),
    ("snapshot events", sql!("0024_snapshot_events")),
    ("maybe create snapshot of this history", sql!("0025_maybe_create_snapshot")),
    ("wrong snapshots of another history", sql!("0026_wrong_snapshots")),
    ("append event readable", sql!("0027_append_event_readable")),
    ("unguarded events", sql!("0028_unguarded_events")),
    ("validate event store and its guards", sql!("0029_validate_event_store")),
    ("advance posting states by type (from 27 on)", sql!("0030_advance_posting_states")),
    ("fold posting states by type (from 27 on)", sql!("0031_fold_posting_states")),
    ("differing posting states by type (from 27 on)", sql!("0032_differing_posting_states")),
    ("always project posting events", sql!("0033_always_project_posting_events")),
    ("unguarded events whatever the role of the session", sql!("0034_unguarded_events")),
    ("rebuild as the owner (from 27 on)", sql!("0035_rebuild_as_the_owner")),
    ("project posting events over rows ahead (from 27 on)", sql!("0036_project_posting_events")),
    ("use of the schema (from 27 on)", sql!("0037_use_of_the_schema")),
    ("append event that programs read (from 27 on)", sql!("0038_append_event")),
    ("posting note text to the last digit (from 27 on)", sql!("0039_posting_note_text")),
    ("posting states of every digit (from 27 on)", sql!("0040_posting_states_of_every_digit")),
    ("posting event kind without reserved keys (from 27 on)", sql!("0041_posting_event_kind")),
    ("append event with one rule of keys (from 27 on)", sql!("0042_append_event")),
    ("unguarded events with their triggers (from 27 on)", sql!("0043_unguarded_events")),
    ("misordered events with typed repairs (from 27 on)", sql!("0044_misordered_events")),
    ("reserved key grants (from 27 on)", sql!("0045_reserved_key_grants")),
    ("posting state storage (from 27 on)", sql!("0046_posting_state_storage")),
    ("unguarded events with all their triggers (from 27 on)", sql!("0048_unguarded_events")),
];
