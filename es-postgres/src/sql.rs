//! Every statement of the store, each in a file of its own, with the names filled in once.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::Layout;

/// A statement that is ready to be sent; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Statement(Arc<str>);

impl Statement {
    /// The text. The only way in is [`fill`], whose names cannot change a statement.
    pub(crate) fn sql(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.0)).into_sql_str()
    }
}

/// Puts the names of a layout into a statement: `{schema}` and `{events}`, which are
/// [`Identifier`](crate::Identifier)s, and `{id}`, a type of two.
pub(crate) fn fill(template: &str, layout: &Layout) -> Statement {
    let text = template
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
        .replace("{id}", layout.ids.sql_type());
    Statement(text.into())
}

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident)*) => {
        /// The statements with the names of one layout.
        #[derive(Debug)]
        pub(crate) struct Statements {
            $(pub(crate) $name: Statement,)*
        }

        impl Statements {
            pub(crate) fn new(layout: &Layout) -> Self {
                Self {
                    $($name: fill(
                        include_str!(concat!("sql/", stringify!($name), ".sql")),
                        layout,
                    ),)*
                }
            }

            /// All of them with their names.
            pub(crate) fn all(&self) -> Vec<(&'static str, &Statement)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

statements! {
    announce
    append
    append_within
    delete_snapshots
    find_request
    version_until
    frontier
    inspect
    latest_snapshot
    raise_watermark
    read_log
    read_log_filtered
    read_stream_backwards
    read_stream_forwards
    save_snapshot
    used_event_ids
}
