//! What a server said, without what it quotes of the data.

use std::fmt;

use es_core::backend::StoreError;
use sqlx::Error;

use super::database_error;

/// What a server says when it has no further connection for a user or a database, or for anybody, and
/// what pgbouncer says when it has none for a client.
const NONE_FREE: [&str; 2] = ["53300", "08P01"];

/// An error of the server that can be shown and logged: it quotes no value.
///
/// The detail of a server's error repeats the row or the key that was refused, the context and the
/// query may, and so do the messages about values that do not fit their type. Names of tables,
/// columns and constraints stay.
#[derive(Debug)]
pub(super) struct ServerError {
    code: String,
    /// None if it may quote a value.
    message: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
    routine: Option<String>,
}

impl std::error::Error for ServerError {}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message, &self.routine) {
            (Some(message), _) => f.write_str(message)?,
            (None, Some(routine)) => write!(f, "a value does not fit, in {routine}")?,
            (None, None) => f.write_str("a value does not fit")?,
        }
        write!(f, " (SQLSTATE {}", self.code)?;
        let names = [&self.schema, &self.table, &self.column, &self.constraint];
        for name in names.into_iter().flatten() {
            write!(f, ", {name}")?;
        }
        f.write_str(")")
    }
}

/// Gives an error of the store its cause.
pub(crate) fn caused(failure: StoreError, cause: Error) -> StoreError {
    let Some(told) = database_error(&cause) else { return failure.caused_by(cause) };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    // class 22, data exception: `invalid input syntax for type integer: "…"`
    let quotes = told.code().starts_with("22");
    failure.caused_by(ServerError {
        code: told.code().to_owned(),
        message: (!quotes).then(|| told.message().to_owned()),
        schema: owned(told.schema()),
        table: owned(told.table()),
        column: owned(told.column()),
        constraint: owned(told.constraint()),
        routine: owned(told.routine()),
    })
}

/// The SQLSTATE by which the server refused something, of an error or of what caused it, such as
/// `42501` for want of a right.
pub fn sql_state<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| Some(error.downcast_ref::<ServerError>()?.code.as_str()))
}

/// True if a server, or a proxy before it, that let connections in gives no further one.
pub(crate) fn is_none_free(failure: &StoreError) -> bool {
    let cause = std::error::Error::source(failure);
    let told = cause.and_then(|cause| cause.downcast_ref::<ServerError>());
    told.is_some_and(|told| NONE_FREE.contains(&told.code.as_str()))
}
