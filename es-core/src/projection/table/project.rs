//! A projection into tables without its type, and what its tables must be.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::envelope::RecordedEvent;
use crate::error::BoxError;
use crate::read::EventFilter;

use super::super::fold::guarded;
use super::super::typed::Parts;
use super::{Changes, Column, SqlType, SqlValue, TableChange, TableProjection, TableSchema};

/// What becomes of tables.
pub(in super::super) trait Project: Send + Sync {
    fn tables(&self) -> &Arc<[TableSchema]>;

    /// What an event changes. Never panics.
    fn project(&self, event: &RecordedEvent) -> Result<Vec<TableChange>, BoxError>;
}

/// The projection `P`.
pub(in super::super) struct TypedProject<P> {
    tables: Arc<[TableSchema]>,
    parts: Parts,
    projection: PhantomData<fn() -> P>,
}

impl<P: TableProjection> TypedProject<P> {
    pub(in super::super) fn new(tables: Arc<[TableSchema]>, selection: &EventFilter) -> Self {
        Self { tables, parts: Parts::of::<P::Event>(selection), projection: PhantomData }
    }
}

impl<P: TableProjection> Project for TypedProject<P> {
    fn tables(&self) -> &Arc<[TableSchema]> {
        &self.tables
    }

    fn project(&self, event: &RecordedEvent) -> Result<Vec<TableChange>, BoxError> {
        let changes = guarded(|| {
            let mut rows = Changes::default();
            for event in self.parts.read::<P::Event>(event)? {
                P::project(&event, &mut rows)?;
            }
            Ok(rows.into_changes())
        })?;
        for change in &changes {
            check(&self.tables, change)?;
        }
        Ok(changes)
    }
}

/// How long the texts and bytes of a key may be together: an entry of an index of PostgreSQL has 2,704
/// bytes at most.
const MAX_KEY_BYTES: usize = 1_024;

/// Refuses a change that no store carries out, or not each alike.
fn check(tables: &[TableSchema], change: &TableChange) -> Result<(), BoxError> {
    let table = change.table();
    if !tables.contains(table) {
        let text = format!(
            "table `{}` is none of the projection's; add the type of its rows to `type Tables`",
            table.name
        );
        return Err(text.into());
    }
    if let Some(odd) = change.sql().find(|sql| !is_closed(sql)) {
        let text = format!(
            "`{odd}` for table `{}` is no part of a statement: it ends one, has a comment, a subquery, \
             a bracket or a backtick, leaves a parenthesis or a text open, has a text of the form \
             `$$..$$`, `E'..'` or `U&'..'`, or names `generation`",
            table.name
        );
        return Err(text.into());
    }
    let key_bytes: usize = change.key().map(SqlValue::bytes).sum();
    if key_bytes > MAX_KEY_BYTES {
        let text = format!(
            "the texts and bytes of a key of table `{}` have {key_bytes} bytes, and {MAX_KEY_BYTES} \
             are the most",
            table.name
        );
        return Err(text.into());
    }
    match change.values().find_map(|value| Some((value.sql_type(), value.problem()?))) {
        Some((of, problem)) => {
            Err(format!("{of} for table `{}` cannot be stored: {problem}", table.name).into())
        }
        None => Ok(()),
    }
}

/// True if nothing in the SQL of a change ends what stands around it, which names the model, or speaks
/// of another one.
fn is_closed(sql: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut depth, mut text_until) = (0_u32, None);
    // what stands outside of texts and quoted names
    let mut code = String::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match (text_until, c) {
            (Some(end), c) if c == end => text_until = None,
            (Some(_), _) => {}
            // PostgreSQL's other texts end in another way, or say names in another
            (None, '$') if !chars.peek().is_some_and(|next| next.is_ascii_digit()) => return false,
            (None, '\'' | '"') if ends_as_prefix(&code, c) => return false,
            (None, '\'' | '"') => {
                text_until = Some(c);
                code.push(' ');
            }
            (None, '(') => depth += 1,
            (None, ')') => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            // SQLite's other quotes
            (None, ';' | '\0' | '[' | '`') => return false,
            (None, '-') if chars.peek() == Some(&'-') => return false,
            (None, '/') if chars.peek() == Some(&'*') => return false,
            _ => {}
        }
        if text_until.is_none() {
            code.push(c);
        }
    }
    let is_foreign = |word: &str| {
        ["select", "table", "generation"].iter().any(|it| word.eq_ignore_ascii_case(it))
    };
    depth == 0
        && text_until.is_none()
        && !code.split(|c: char| !is_word(c)).any(is_foreign)
        && !sql.contains("\"generation\"")
}

/// True if the code before a quote makes it one of PostgreSQL's `E'..'`, `U&'..'` or `U&".."`.
fn ends_as_prefix(code: &str, quote: char) -> bool {
    let mut back = code.chars().rev();
    match (back.next(), back.next()) {
        (Some('&'), Some('u' | 'U')) => true,
        // behind a number it is no end of a word
        (Some('e' | 'E'), before) => {
            quote == '\'' && !before.is_some_and(|c| c.is_alphabetic() || c == '_')
        }
        _ => false,
    }
}

/// The tables, as they stand in a fingerprint.
pub(in super::super) fn described(tables: &[TableSchema]) -> String {
    let table = |table: &TableSchema| {
        let columns = table.columns.iter().map(|column| {
            let Column { name, sql_type, is_key, is_nullable, range } = column;
            let range = range.map(|(least, greatest)| format!(" {least}..={greatest}"));
            let range = range.unwrap_or_default();
            let null = if *is_nullable { " null" } else { "" };
            let key = if *is_key { " key" } else { "" };
            format!("{name} {sql_type}{range}{null}{key}")
        });
        format!("{}({})", table.name, columns.collect::<Vec<_>>().join(", "))
    };
    tables.iter().map(table).collect::<Vec<_>>().join(", ")
}

/// Refuses tables that cannot be made; for rows that are derived, most of this is said sooner.
pub(in super::super) fn problem(tables: &[TableSchema]) -> Result<(), BoxError> {
    let mut names = BTreeSet::new();
    for table in tables {
        if !names.insert(table.name) {
            return Err(format!("two tables have the name `{}`", table.name).into());
        }
        let mut columns = table.columns.iter().map(|column| column.name);
        let odd = Some(table.name)
            .filter(|name| is_kept(name))
            .or_else(|| columns.find(|name| !is_name(name) || KEPT_COLUMNS.contains(name)));
        if let Some(name) = odd {
            let text = format!("`{name}` of table `{}` cannot be a name there", table.name);
            return Err(text.into());
        }
        index_problem(table)?;
        if table.key().next().is_none() {
            return Err(format!("table `{}` has no key", table.name).into());
        }
        let is_vague = |column: &&Column| {
            column.is_nullable || matches!(column.sql_type, SqlType::Float | SqlType::Json)
        };
        if let Some(Column { name, sql_type, is_nullable, .. }) = table.key().find(is_vague) {
            let which = if *is_nullable { " or nothing" } else { "" };
            let table = table.name;
            let text = format!("`{name}`, {sql_type}{which}, cannot be in the key of `{table}`");
            return Err(text.into());
        }
    }
    Ok(())
}

/// Refuses indexes that cannot be made.
fn index_problem(table: &TableSchema) -> Result<(), BoxError> {
    // the longest name that PostgreSQL keeps whole
    const MAX_BYTES: usize = 63;
    let mut names = BTreeSet::new();
    for index in table.indexes {
        let is_column = |name: &&str| table.columns.iter().any(|column| column.name == *name);
        let name = table.index_name(index);
        if index.is_empty() || !index.iter().all(is_column) || name.len() > MAX_BYTES {
            return Err(format!("`{name}` is no index of columns, or its name is too long").into());
        }
        if let Some(twice) = names.replace(name) {
            return Err(format!("index `{twice}` is given twice").into());
        }
    }
    Ok(())
}

/// What tells models apart, and the columns that PostgreSQL gives to every table.
const KEPT_COLUMNS: [&str; 7] = ["generation", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// True if it cannot be the name of a table, in one database or another.
fn is_kept(table: &str) -> bool {
    let is_of_database = table.starts_with("pg_") || table.starts_with("sqlite_");
    !is_name(table) || is_of_database || table == "excluded"
}

fn is_name(name: &str) -> bool {
    const MAX_BYTES: usize = 40;
    name.len() <= MAX_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
