//! The texts of statements on a table, from their templates.

use es_core::projection::{Column, SqlType, TableSchema, Which};

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table in which the rows of all models of a table are.
pub(super) fn models(table: &TableSchema) -> String {
    format!("{}_models", table.name)
}

/// The projection that a view serves, by its text.
pub(super) fn served(view: &str) -> Option<String> {
    let (_, rest) = view.rsplit_once("m.projection = '")?;
    let (name, _) = rest.rsplit_once("' AND m.slot = 'active'")?;
    Some(name.replace("''", "'"))
}

/// What the templates ask for.
pub(super) struct Names<'a> {
    pub(super) table: &'a TableSchema,
    key: Vec<String>,
    columns: Vec<String>,
}

impl<'a> Names<'a> {
    pub(super) fn of(table: &'a TableSchema) -> Self {
        let columns = table.columns.iter().map(|column| quoted(column.name)).collect();
        let key = table.key().map(|column| quoted(column.name)).collect();
        Self { table, key, columns }
    }

    /// The statement; what a change says comes last, so that nothing in it is filled.
    pub(super) fn fill(&self, template: &str, parts: &[(&str, &str)]) -> String {
        let values: Vec<_> = (1..=self.columns.len() + 1).map(|n| format!("?{n}")).collect();
        let own = [
            ("models", quoted(&models(self.table))),
            ("table", quoted(self.table.name)),
            ("key", self.key.join(", ")),
            ("columns", self.columns.join(", ")),
            ("values", values.join(", ")),
        ];
        let mut text = template.to_owned();
        for (name, part) in parts.iter().filter(|(name, _)| *name == "columns") {
            text = text.replace(&format!("{{{name}}}"), part);
        }
        for (name, part) in own {
            text = text.replace(&format!("{{{name}}}"), &part);
        }
        for (name, part) in parts {
            text = text.replace(&format!("{{{name}}}"), part);
        }
        text
    }

    /// How a row that is there becomes the new one.
    pub(super) fn replace_all(&self) -> String {
        let others = self.columns.iter().filter(|column| !self.key.contains(column));
        let set: Vec<_> = others.map(|column| format!("{column} = excluded.{column}")).collect();
        match set.is_empty() {
            true => "generation = excluded.generation".to_owned(),
            false => set.join(", "),
        }
    }

    /// A statement that answers, of each row that it writes, what stands in the doubtful columns.
    pub(super) fn judged(&self, statement: String) -> String {
        let columns: Vec<_> = self.doubtful().map(|column| quoted(column.name)).collect();
        format!("{}\nRETURNING {}\n", statement.trim_end(), columns.join(", "))
    }

    /// The columns in which SQL may leave what their fields do not take; those of the key are among
    /// them.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = &'static Column> + use<> {
        // these are texts of a certain form
        let is_formed = |of| matches!(of, SqlType::Time | SqlType::Uuid | SqlType::Json);
        self.table.columns.iter().filter(move |column| {
            !column.is_nullable || column.range.is_some() || is_formed(column.sql_type)
        })
    }

    /// Which rows a change is for.
    pub(super) fn filter(&self, rows: &Which) -> String {
        match rows {
            Which::Where(filter) => (*filter).to_owned(),
            Which::Key(_) => {
                let key = (1..).zip(&self.key).map(|(n, column)| format!("{column} = :key{n}"));
                key.collect::<Vec<_>>().join(" AND ")
            }
        }
    }

    /// The key, compared with the parameters from ?3 on.
    pub(super) fn compared(&self, operator: &str) -> String {
        let given: Vec<_> = (3..).zip(&self.key).map(|(n, _)| format!("?{n}")).collect();
        format!("({}) {operator} ({})", self.key.join(", "), given.join(", "))
    }
}

/// The type of a column.
pub(super) fn sql_type(of: SqlType) -> &'static str {
    match of {
        SqlType::Bool | SqlType::Int => "INTEGER",
        SqlType::Float => "REAL",
        SqlType::Bytes => "BLOB",
        _ => "TEXT",
    }
}
