//! A table of the application's that keeps snapshots.

use crate::identifier::Identifier;

/// A table of the application's in the store's schema that keeps the snapshots of one aggregate
/// type, in place of the store's own table, so that SQL and programs share them.
///
/// The application's migrations make it, not [`Migrations::of_store`](crate::Migrations::of_store).
/// It needs a unique index on `id` and `version`, and a default in every column that is not named
/// here. What the store's own table has of the type is not looked at any more: remove it when the
/// table is made.
///
/// A constraint that refuses a snapshot, such as a foreign key, makes saving it fail, and nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotTable {
    /// The type of all streams whose snapshots are there.
    pub aggregate_type: String,
    /// The table.
    pub table: Identifier,
    /// The column of the stream's id, of the type of the layout's [`ids`](crate::Layout::ids).
    pub id: Identifier,
    /// The column of the version of the last event in the state: `INT` or `BIGINT`.
    pub version: Identifier,
    /// The column of the id of the last event in the state: `UUID`. Null is no event: the state is not
    /// used.
    pub event: Identifier,
    /// The column of the fingerprint of the state's type: `TEXT`. Null is a fingerprint of nothing.
    pub schema: Identifier,
    /// The column of the state: `JSONB`.
    pub state: Identifier,
    /// The column of when it was taken: `TIMESTAMPTZ`. Null is the beginning of time, 1970.
    pub taken_at: Identifier,
}
