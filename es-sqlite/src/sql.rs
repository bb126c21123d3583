//! Every statement of the store, each in a file of its own. Those of tables of projections are
//! templates.

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("sql/", $file, ".sql"));)*
    };
}

statements! {
    APPEND_EVENT = "append_event";
    APPEND_EVENTS = "append_events";
    APPEND_MANY_EVENTS = "append_many_events";
    APPLICATION_ID = "application_id";
    BEGIN_READ = "begin_read";
    BEGIN_REQUEST = "begin_request";
    BEGIN_WRITE = "begin_write";
    COMMIT = "commit";
    COOKIE_OF_ITS_OWN = "cookie_of_its_own";
    COUNT_OBJECTS = "count_objects";
    DATA_VERSION = "data_version";
    DELETE_SNAPSHOTS = "delete_snapshots";
    END_OF_LOG = "end_of_log";
    END_REQUEST = "end_request";
    ENTRIES_DIFFER = "entries_differ";
    EVENTS_UP_TO = "events_up_to";
    FIND_DAMAGE = "find_damage";
    FIND_KEY = "find_key";
    FIRST_LATER_VERSION = "first_later_version";
    HAS_EVENT = "has_event";
    HAS_EVENT_AT = "has_event_at";
    HAS_EVENTS_TABLE = "has_events_table";
    HAS_OTHER_TRIGGERS = "has_other_triggers";
    LATEST_SNAPSHOT = "latest_snapshot";
    LIST_SNAPSHOTS = "list_snapshots";
    NEWEST_ARE_WHOLE = "newest_are_whole";
    NEWEST_EVENT = "newest_event";
    PRUNE_SNAPSHOTS = "prune_snapshots";
    PROJECTION_ACTIVATE = "projection_activate";
    PROJECTION_CHECKPOINTS = "projection_checkpoints";
    PROJECTION_COMMITTED = "projection_committed";
    PROJECTION_COPY_DISCARDED = "projection_copy_discarded";
    PROJECTION_CREATE_MODEL = "projection_create_model";
    PROJECTION_CREATE_SLICE = "projection_create_slice";
    PROJECTION_DISCARD = "projection_discard";
    PROJECTION_DROP_MODEL = "projection_drop_model";
    PROJECTION_DROP_SLICES = "projection_drop_slices";
    PROJECTION_DUE = "projection_due";
    PROJECTION_FIND_MODEL = "projection_find_model";
    PROJECTION_HAS_REACHED = "projection_has_reached";
    PROJECTION_JOIN_SLICES = "projection_join_slices";
    PROJECTION_MOVE_SLICE = "projection_move_slice";
    PROJECTION_NEXT_PARKED = "projection_next_parked";
    PROJECTION_NEXT_ROWS = "projection_next_rows";
    PROJECTION_PARK = "projection_park";
    PROJECTION_PARKED = "projection_parked";
    PROJECTION_PARKED_OF_KEY = "projection_parked_of_key";
    PROJECTION_RELEASE_INLINE = "projection_release_inline";
    PROJECTION_RELEASE_LEASE = "projection_release_lease";
    PROJECTION_REMOVE_PARKED = "projection_remove_parked";
    PROJECTION_REMOVE_ROW = "projection_remove_row";
    PROJECTION_REMOVE_ROWS = "projection_remove_rows";
    PROJECTION_RENEW_LEASE = "projection_renew_lease";
    PROJECTION_REPORT = "projection_report";
    PROJECTION_REQUEST_RETRY = "projection_request_retry";
    PROJECTION_ROW = "projection_row";
    PROJECTION_ROWS = "projection_rows";
    PROJECTION_SET_ROW = "projection_set_row";
    PROJECTION_STATUS = "projection_status";
    PROJECTION_TAKE_LEASE = "projection_take_lease";
    PROJECTION_UNPARK = "projection_unpark";
    READ_LOG = "read_log";
    READ_REQUEST = "read_request";
    READ_STREAM_BACKWARDS = "read_stream_backwards";
    READ_STREAM_FORWARDS = "read_stream_forwards";
    RECORD_KEY = "record_key";
    ROLLBACK = "rollback";
    SAVE_SNAPSHOT = "save_snapshot";
    SCHEMA_COOKIE = "schema_cookie";
    SCHEMA_VERSION = "schema_version";
    SEQUENCE = "sequence";
    STREAM_VERSION = "stream_version";
    TABLE_ADD_COLUMN = "table_add_column";
    TABLE_COLUMNS = "table_columns";
    TABLE_CREATE = "table_create";
    TABLE_CREATE_INDEX = "table_create_index";
    TABLE_CREATE_VIEW = "table_create_view";
    TABLE_DELETE = "table_delete";
    TABLE_DROP_VIEW = "table_drop_view";
    TABLE_NEXT_ROWS = "table_next_rows";
    TABLE_OBJECT = "table_object";
    TABLE_REMOVE_ROWS = "table_remove_rows";
    TABLE_ROWS = "table_rows";
    TABLE_UPDATE = "table_update";
    TABLE_UPSERT = "table_upsert";
    UNDO_REQUEST = "undo_request";
}
