//! Every statement of the store, each in a file of its own.

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("sql/", $file, ".sql"));)*
    };
}

statements! {
    APPEND_EVENT = "append_event";
    APPLICATION_ID = "application_id";
    BEGIN_READ = "begin_read";
    BEGIN_REQUEST = "begin_request";
    BEGIN_WRITE = "begin_write";
    COMMIT = "commit";
    COUNT_OBJECTS = "count_objects";
    DATA_VERSION = "data_version";
    DELETE_SNAPSHOTS = "delete_snapshots";
    END_OF_LOG = "end_of_log";
    END_REQUEST = "end_request";
    FIND_KEY = "find_key";
    FIRST_LATER_VERSION = "first_later_version";
    HAS_EVENT = "has_event";
    HAS_OTHER_TRIGGERS = "has_other_triggers";
    LATEST_SNAPSHOT = "latest_snapshot";
    LIST_SNAPSHOTS = "list_snapshots";
    PRUNE_SNAPSHOTS = "prune_snapshots";
    READ_LOG = "read_log";
    READ_REQUEST = "read_request";
    READ_STREAM_BACKWARDS = "read_stream_backwards";
    READ_STREAM_FORWARDS = "read_stream_forwards";
    RECORD_KEY = "record_key";
    ROLLBACK = "rollback";
    SAVE_SNAPSHOT = "save_snapshot";
    SCHEMA_COOKIE = "schema_cookie";
    SCHEMA_VERSION = "schema_version";
    STREAM_VERSION = "stream_version";
    UNDO_REQUEST = "undo_request";
}
