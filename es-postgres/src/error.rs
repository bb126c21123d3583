//! What PostgreSQL's failures mean. They are told apart by SQLSTATE, never by their text, which
//! follows the language of the server.

use std::fmt::Display;
use std::io::ErrorKind;

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::config::Layout;

mod encryption;
mod server;

pub use server::sql_state;
pub(crate) use server::{caused, is_none_free};

/// A trigger of the application kept events out of the table; the migrated function raises it.
const KEPT_OUT: &str = "ES001";
/// Of an INSERT while the sequence of positions is behind the table.
const SEQUENCE_BEHIND: &str = "ES007";

/// What happened to who waited for a lock in vain.
pub(crate) const HELD_FOR_TOO_LONG: &str =
    "another session holds what it needs for longer than the lock time-out; nothing was written";

/// The failure as the server told it, if it did.
pub(crate) fn database_error(error: &Error) -> Option<&PgDatabaseError> {
    match error {
        Error::Database(error) => error.try_downcast_ref(),
        _ => None,
    }
}

pub(crate) fn has_code(error: &Error, code: &str) -> bool {
    database_error(error).is_some_and(|error| error.code() == code)
}

/// True if a unique index of the table of events has refused: another transaction was faster, or an
/// event id is used already. A position that is taken is no race: the sequence draws none twice.
pub(crate) fn is_race(error: &Error, layout: &Layout) -> bool {
    !is_position_taken(error, layout) && is_unique_violation(error, layout)
}

/// True if the position that the sequence drew is an event's already: the sequence is behind its table.
pub(crate) fn is_position_taken(error: &Error, layout: &Layout) -> bool {
    let index = || format!("idx_{}_position", layout.events);
    is_unique_violation(error, layout)
        && database_error(error).is_some_and(|error| error.constraint() == Some(index().as_str()))
}

fn is_unique_violation(error: &Error, layout: &Layout) -> bool {
    database_error(error).is_some_and(|error| {
        error.code() == "23505"
            && error.table() == Some(layout.events.as_str())
            && error.schema() == Some(layout.schema.as_str())
    })
}

/// True if the server has refused the statement and undone all of it, or it was never sent.
pub(crate) fn is_refused(error: &Error) -> bool {
    match error {
        Error::Encode(_) | Error::InvalidArgument(_) => true,
        _ => database_error(error).is_some_and(|error| {
            !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
        }),
    }
}

/// True if the server cannot send a row, because its text is beyond what a message may have. Another
/// try gives the same, unlike a want of memory.
pub(crate) fn is_too_large(error: &Error) -> bool {
    has_code(error, "54000")
}

/// True if the connection can be used no longer.
pub(crate) fn is_lost(error: &Error) -> bool {
    let is_about_an_answer = matches!(
        error,
        Error::Decode(_)
            | Error::ColumnDecode { .. }
            | Error::ColumnNotFound(_)
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::RowNotFound
    );
    !is_refused(error) && !is_about_an_answer
}

/// What a failure of PostgreSQL means as a failure of the store: `what` was being done, at `place`
/// such as `database turing on localhost:5432`.
///
/// Its cause shows what the server said, except what that quotes of the data.
///
/// For statements that wrote nothing when they fail. For applications that keep tables of their own
/// beside the events, too.
pub fn store_error(what: impl Display, place: &str, error: Error) -> StoreError {
    let (kind, advice) = meaning(&error);
    caused(StoreError::new(kind, format!("{what} in {place}: {advice}")), error)
}

/// The failure of an append or commit that was sent.
pub(crate) fn append_error(what: impl Display, place: &str, error: Error) -> StoreError {
    if is_refused(&error) {
        return store_error(what, place, error);
    }
    caused(outcome_unknown(what, place), error)
}

/// The failure of a statement on projections that was sent and must not be repeated blindly.
pub(crate) fn unknown_unless_refused(what: impl Display, place: &str, error: Error) -> StoreError {
    if is_refused(&error) {
        return store_error(what, place, error);
    }
    let text = format!(
        "{what} in {place}: the answer was lost, it may be written or not; the projection's \
         checkpoint tells"
    );
    caused(StoreError::new(StoreErrorKind::OutcomeUnknown, text), error)
}

/// True if a statement on the table of a projection failed for what it says or for the rows that it
/// meets: a value, a constraint, a name, or what a trigger raises, which may have any code. All else is
/// the server's, and passes or is mended.
pub(crate) fn is_of_the_change(error: &Error) -> bool {
    const OF_THE_SERVER: [&str; 14] =
        ["08", "25", "26", "28", "3D", "40", "53", "55", "57", "58", "72", "F0", "HV", "XX"];
    is_refused(error)
        && database_error(error).is_none_or(|told| match told.code() {
            // the claim has seen to the columns, and to rights; who is refused one looks again
            "42703" | "42883" | "3F000" | "42501" => true,
            // the table itself is gone, and not something that the change names
            "42P01" => told.routine() != Some("parserOpenTable"),
            code => {
                let is_of_the_server = OF_THE_SERVER.iter().any(|class| code.starts_with(class));
                !is_of_the_server && meaning(error).0 == StoreErrorKind::Other
            }
        })
}

/// The failure of an append whose answer was lost.
pub(crate) fn outcome_unknown(what: impl Display, place: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::OutcomeUnknown,
        format!(
            "{what} in {place}: the answer was lost, it may be written or not; \
             with an idempotency key it can be sent again"
        ),
    )
}

/// A kind and what to do about it.
fn meaning(error: &Error) -> (StoreErrorKind, &'static str) {
    use ErrorKind::{NotFound, PermissionDenied};
    use StoreErrorKind::{Busy, Full, NotAStore, Other, ReadOnly, Unavailable};
    if let Some(advice) = encryption::advice(error) {
        return (Other, advice);
    }
    let Some(error) = database_error(error) else {
        return match error {
            Error::Configuration(_) => (
                Other,
                "the connection's settings are wrong; sslcert and sslkey need each other, and files \
                 of the form PEM",
            ),
            Error::Io(why) if matches!(why.kind(), NotFound | PermissionDenied) => (
                Unavailable,
                "the server cannot be reached, or a file cannot be read that sslrootcert, sslcert or \
                 sslkey names; check that it runs, the address and the file",
            ),
            Error::Decode(_) | Error::ColumnDecode { .. } => {
                (StoreErrorKind::Corrupt, "a row cannot be read")
            }
            Error::Encode(_) => (Other, "a value cannot be sent"),
            // a pool does not say what it was told
            Error::PoolTimedOut => (
                Unavailable,
                "there was no connection in time; check that the server runs, and that it, the \
                 database and the role allow as many (CONNECTION LIMIT)",
            ),
            _ => (Unavailable, "the server cannot be reached; check that it runs and the address"),
        };
    };
    match error.code() {
        "28P01" => (Other, "the server refuses this user; check user and password"),
        "28000" => (
            Other,
            "the server refuses this user; check user and password, and whether it wants encryption \
             (sslmode) or a client's certificate (sslcert, sslkey)",
        ),
        "3D000" => (NotAStore, "there is no such database; create it, for instance with createdb"),
        "53300" => (
            Unavailable,
            match error.routine() {
                Some("InitializeSessionUserId") => {
                    "the user has no free connection; raise the role's CONNECTION LIMIT or close \
                     others"
                }
                Some("CheckMyDatabase") => {
                    "the database has no free connection; raise its CONNECTION LIMIT or close others"
                }
                _ => "the server has no free connection; raise max_connections or close others",
            },
        ),
        "57P03" => (Unavailable, "the server is starting up or shutting down"),
        "08P01" => (
            Other,
            "the server or a proxy before it refuses the database's name or a setting; check that the \
             proxy knows the database and takes so many clients (max_client_conn), and that the address \
             has pooled=true if it pools transactions",
        ),
        "25006" => {
            let text = "the server takes no writes: it is a standby, then connect to the primary, or \
                        default_transaction_read_only is on for it, the database or the user";
            (ReadOnly, text)
        }
        "42501" => (ReadOnly, "the user lacks the privilege; grant it, or use a user that has it"),
        "3F000" | "42P01" | "42883" | "42703" => (
            NotAStore,
            "what this program needs of the store's schema is not there; migrate it, or use the newer program that did",
        ),
        "53100" => (Full, "the server's disk is full; free some space"),
        "53200" => (
            Unavailable,
            "the server is out of memory, or its table of locks is full; for the latter raise \
             max_locks_per_transaction",
        ),
        "54000" => (
            Other,
            "a value is too large for the server: as text it has more than a message of 1 GB",
        ),
        "2200H" => (
            Full,
            "the positions of this log are used up: its sequence was set to the end of its range; if no \
             event stands there, set it back with setval() to the highest position of an event, while \
             nobody writes, else copy the events into a new store",
        ),
        "55P03" => (Busy, HELD_FOR_TOO_LONG),
        "57014" => (
            Unavailable,
            "it took longer than the statement time-out, or was cancelled; nothing was written",
        ),
        "40001" | "40P01" => (Busy, "another transaction was in the way; nothing was written"),
        "22003" => {
            (Other, "a number is out of range: a stream holds no more than 2147483647 events")
        }
        SEQUENCE_BEHIND => (
            StoreErrorKind::Corrupt,
            "the sequence of positions is behind its table; opening the store names the statement \
             that repairs it",
        ),
        KEPT_OUT => {
            (Other, "a trigger on the table of events keeps events out; nothing was written")
        }
        // a transaction that was idle, or open, for too long
        "25P03" | "25P04" => (Unavailable, "the server ended the connection"),
        code if code.starts_with("57P") || code.starts_with("08") => {
            (Unavailable, "the server ended the connection")
        }
        code if code.starts_with("22") => (Other, "the server cannot keep a value"),
        code if code.starts_with("23") => {
            (Other, "a constraint of the database refuses it; nothing was written")
        }
        _ => (Other, "PostgreSQL failed"),
    }
}

/// True if a server that takes no writes was asked to begin a transaction that may write. The code alone
/// means many things; the routine is the one that judges settings.
pub(crate) fn is_about_standby(error: &Error) -> bool {
    database_error(error).is_some_and(|error| {
        error.code() == "0A000" && error.routine() == Some("call_bool_check_hook")
    })
}

/// The refusal of a server that follows another one.
pub(crate) fn standby(place: &str) -> StoreError {
    let text = format!(
        "{place} is a standby or a read replica, where it cannot be known how far the log can be read \
         without missing events; connect to the primary, also through a proxy"
    );
    StoreError::new(StoreErrorKind::ReadOnly, text)
}

/// The refusal after [`close`](crate::PostgresStore::close).
pub(crate) fn closed(place: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Closed, format!("the store in {place} was closed"))
}

/// The refusal of what was not sent when the runtime ended.
pub(crate) fn runtime_ended(place: &str) -> StoreError {
    let text = format!(
        "the runtime in which the store in {place} was opened has ended; nothing was written; open the \
         store again"
    );
    StoreError::new(StoreErrorKind::Closed, text)
}
