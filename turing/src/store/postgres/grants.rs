//! Which grant would let a login do what the server does not let it do.

use std::error::Error;

use es_postgres::sqlx::{self, Connection, Row};
use es_postgres::{PostgresConfig, sql_state};

/// What a role of `turing migrate --roles` is for, as its name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Owner,
    Writer,
    Reader,
    Projector,
}

impl Role {
    fn end(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Projector => "projector",
        }
    }
}

/// The statement that makes this login a member of the role; `None` if it is one, if there is no such
/// role, or if the server does not say.
pub(crate) async fn missing_grant(config: &PostgresConfig, role: Role) -> Option<String> {
    let mut connection = config.connect().await.ok()?;
    let begin = sqlx::raw_sql(config.begin_pinned());
    begin.execute(&mut connection).await.ok()?;
    let layout = config.names();
    let asked = sqlx::query(include_str!("grant.sql")).persistent(false);
    let asked = asked.bind(layout.schema.as_str()).bind(layout.events.as_str()).bind(role.end());
    let row = asked.fetch_optional(&mut connection).await.ok()?;
    // the server notices in any case
    let _ = connection.close().await;
    row?.try_get(0).ok()
}

/// Whether the server has refused something for want of a right.
pub(crate) fn is_for_want_of_a_right(error: &(dyn Error + 'static)) -> bool {
    sql_state(error) == Some("42501")
}
