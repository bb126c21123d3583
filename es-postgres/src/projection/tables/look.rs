//! What is there of the tables of a projection, and the statements that make the rest.

use es_core::backend::SinkError;
use es_core::projection::{Column, TableSchema};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};

use super::super::Projections;
use super::super::model::only;
use super::text::{Names, definition, listed, literal, models, quoted, sql_type};
use super::unusable;
use crate::connection::{Bound, Doing};
use crate::sql::{Statement, TableTemplates};

pub(super) const LOOKING: Doing<'static> = Doing("looking at the tables of a projection", None);

/// What is there of a table and its view.
struct Found {
    columns: Vec<String>,
    types: Vec<String>,
    key: Vec<String>,
    indexes: Vec<String>,
    /// Those of the view; `None` if there is none.
    view: Option<Vec<String>>,
    /// What the view is set to, such as `security_invoker=true`.
    view_options: Vec<String>,
    is_view_of_models: bool,
    serves_projection: bool,
    /// The other projection, with an active model, that the view serves.
    serves_another: Option<String>,
    may_be_written: bool,
    /// Whose it is if nobody trusts that owner.
    stranger: Option<String>,
}

impl Found {
    fn read(row: &PgRow) -> Result<Self, Error> {
        let has_view: bool = row.try_get("has_view")?;
        let view_columns: Vec<String> = row.try_get("view_columns")?;
        Ok(Self {
            columns: row.try_get("columns")?,
            types: row.try_get("types")?,
            key: row.try_get("key")?,
            indexes: row.try_get("indexes")?,
            view: has_view.then_some(view_columns),
            view_options: row.try_get("view_options")?,
            is_view_of_models: row.try_get("is_view_of_models")?,
            serves_projection: row.try_get("serves_projection")?,
            serves_another: row.try_get("serves_another")?,
            may_be_written: row.try_get("may_be_written")?,
            stranger: row.try_get("stranger")?,
        })
    }

    /// The columns that are to be added, or why what is there cannot be used.
    fn missing_columns<'a>(&self, table: &'a TableSchema) -> Result<Vec<&'a Column>, String> {
        let key = std::iter::once("generation").chain(table.key().map(|column| column.name));
        if !self.key.iter().map(String::as_str).eq(key) {
            return Err(format!(
                "table `{}` is there with another key; give it another name",
                models(table)
            ));
        }
        let mut missing = Vec::new();
        for column in table.columns {
            let mut found = self.columns.iter().zip(&self.types);
            match found.find(|(name, _)| *name == column.name) {
                None => missing.push(column),
                Some((_, found)) if found != sql_type(column.sql_type) => {
                    return Err(format!(
                        "column `{}` of table `{}` is there as {found}; give it another name",
                        column.name,
                        models(table)
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(missing)
    }

    /// The statements that make what is missing, or why what is there cannot be used.
    fn missing(
        &self,
        templates: &TableTemplates,
        projection: &str,
        table: &TableSchema,
    ) -> Result<Vec<Statement>, String> {
        if let Some(stranger) = &self.stranger {
            return Err(format!(
                "table `{}` or its view belongs to {stranger}, whose triggers would run with this \
                 login's rights; give it to the owner of the store's tables, or drop it",
                models(table)
            ));
        }
        let names = Names::of(table);
        let mut statements = Vec::new();
        if self.columns.is_empty() {
            let all: Vec<_> = table.columns.iter().map(definition).collect();
            let all = all.join(",\n    ");
            statements.push(names.fill(&templates.table_create, &[("definitions", &*all)]));
        } else {
            for column in self.missing_columns(table)? {
                let added = definition(column);
                let parts = [("definitions", &*added)];
                statements.push(names.fill(&templates.table_add_column, &parts));
            }
        }
        for columns in table.indexes {
            let name = table.index_name(columns);
            if !self.indexes.contains(&name) {
                let (name, columns) = (quoted(&name), listed(columns.iter().copied()));
                let parts = [("index", &*name), ("columns", &*columns)];
                statements.push(names.fill(&templates.table_create_index, &parts));
            }
        }
        if let Some(columns) = self.view_to_make(table)? {
            let columns = columns.into_iter().map(|column| format!("t.{}", quoted(column)));
            let (columns, projection) =
                (columns.collect::<Vec<_>>().join(", "), literal(projection));
            let options = self.options();
            let parts =
                [("columns", &*columns), ("projection", &*projection), ("options", &*options)];
            statements.push(names.fill(&templates.table_create_view, &parts));
        }
        if !statements.is_empty() || !self.may_be_written {
            statements.push(names.fill(&templates.table_grant, &[]));
        }
        Ok(statements)
    }

    /// What the view is set to, which replacing it would take off.
    fn options(&self) -> String {
        let set = self.view_options.iter().filter_map(|option| option.split_once('='));
        let set = set.map(|(name, value)| format!("{} = {}", quoted(name), literal(value)));
        match set.collect::<Vec<_>>() {
            set if set.is_empty() => String::new(),
            set => format!(" WITH ({})", set.join(", ")),
        }
    }

    /// The columns of the view if it is not as it should be. One that is there keeps its columns, so
    /// that it can be replaced in its place, with all rights on it.
    fn view_to_make<'a>(&'a self, table: &'a TableSchema) -> Result<Option<Vec<&'a str>>, String> {
        let found: Vec<&str> = match &self.view {
            Some(_) if !self.is_view_of_models => {
                return Err(format!(
                    "the schema has something else of the name `{}`; give the table another name",
                    table.name
                ));
            }
            Some(found) => found.iter().map(String::as_str).collect(),
            None => Vec::new(),
        };
        if let Some(other) = &self.serves_another {
            return Err(format!(
                "the view `{}` serves projection `{other}`; give the table another name, or drop the \
                 view to hand it over",
                table.name
            ));
        }
        let wanted = table.columns.iter().map(|column| column.name);
        let missing: Vec<_> = wanted.filter(|name| !found.contains(name)).collect();
        if missing.is_empty() && self.serves_projection {
            return Ok(None);
        }
        Ok(Some(found.into_iter().chain(missing).collect()))
    }
}

impl Projections {
    /// The statements that make what is missing of these tables. Whoever sees models may ask.
    pub(in super::super) async fn missing(
        &self,
        projection: &str,
        tables: &[TableSchema],
    ) -> Result<Vec<Statement>, SinkError> {
        let mut missing = Vec::new();
        for table in tables {
            let look = || self.bind_look(projection, table);
            let rows = self.connections.rows(LOOKING, look).await?;
            missing.extend(self.missing_of(projection, table, &rows)?);
        }
        Ok(missing)
    }

    /// The same on this connection.
    pub(in super::super) async fn missing_within(
        &self,
        connection: &mut PgConnection,
        projection: &str,
        tables: &[TableSchema],
    ) -> Result<Vec<Statement>, SinkError> {
        let mut missing = Vec::new();
        for table in tables {
            let look = self.bind_look(projection, table);
            let rows = self.rows_within(connection, look).await?;
            missing.extend(self.missing_of(projection, table, &rows)?);
        }
        Ok(missing)
    }

    fn bind_look(&self, projection: &str, table: &TableSchema) -> Bound<'static> {
        sqlx::query(self.statements.table_look.sql())
            .bind(models(table))
            .bind(table.name)
            .bind(projection.to_owned())
    }

    fn missing_of(
        &self,
        projection: &str,
        table: &TableSchema,
        rows: &[PgRow],
    ) -> Result<Vec<Statement>, SinkError> {
        let found = self.read(LOOKING, || Found::read(only(rows)?))?;
        let missing = found.missing(&self.templates, projection, table);
        missing.map_err(|reason| unusable(projection, reason))
    }
}
