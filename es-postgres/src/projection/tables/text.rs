//! The texts of statements on a table, from their templates.

use std::collections::BTreeSet;

use es_core::projection::{Column, SqlType, TableSchema, Which};

use crate::sql::Statement;

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The table in which the rows of all models of a table are.
pub(super) fn models(table: &TableSchema) -> String {
    format!("{}_models", table.name)
}

/// Names in quotes, one after the other.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// What the templates ask for.
pub(super) struct Names<'a> {
    table: &'a TableSchema,
    key: Vec<String>,
}

impl<'a> Names<'a> {
    pub(super) fn of(table: &'a TableSchema) -> Self {
        Self { table, key: table.key().map(|column| quoted(column.name)).collect() }
    }

    /// The statement, with these parts before the names of the table.
    pub(super) fn fill(&self, template: &Statement, parts: &[(&str, &str)]) -> Statement {
        let columns = self.table.columns.iter().map(|column| column.name);
        let own = [
            ("models", quoted(&models(self.table))),
            ("table", quoted(self.table.name)),
            ("key", self.key.join(", ")),
            ("columns", listed(columns)),
        ];
        let own = own.iter().map(|(name, part)| (*name, part.as_str()));
        template.with(&parts.iter().copied().chain(own).collect::<Vec<_>>())
    }

    /// The template of a statement that answers what fields do not take of the rows that it writes.
    pub(super) fn judged(&self, judged: &Statement, template: &Statement) -> Statement {
        let cases = self.table.columns.iter().filter_map(unfit);
        let cases = cases.collect::<Vec<_>>().join("\n            ");
        judged.with(&[("statement", template.sql().as_str().trim_end()), ("cases", &*cases)])
    }

    /// The values of each column in an array, whose parameters begin with this number.
    pub(super) fn arrays(&self, first: usize) -> String {
        let columns = (first..).zip(self.table.columns);
        let array = |(number, column): (usize, &Column)| {
            format!("${number}::{}[]", sql_type(column.sql_type))
        };
        columns.map(array).collect::<Vec<_>>().join(", ")
    }

    /// How a row that is there becomes the new one.
    pub(super) fn replace_all(&self) -> String {
        let others = self.table.columns.iter().filter(|column| !column.is_key);
        let set = others.map(|column| quoted(column.name));
        let set: Vec<_> = set.map(|column| format!("{column} = excluded.{column}")).collect();
        match set.is_empty() {
            true => "generation = excluded.generation".to_owned(),
            false => set.join(", "),
        }
    }

    /// The rows that a change is for; parameters of the key begin with this number.
    pub(super) fn filter(&self, rows: &Which, first: usize) -> String {
        match rows {
            Which::Where(filter) => (*filter).to_owned(),
            Which::Key(_) => self.compared("=", first),
        }
    }

    /// The key, compared with the parameters from this number on.
    pub(super) fn compared(&self, operator: &str, first: usize) -> String {
        format!("({}) {operator} ({})", self.key.join(", "), places(first, self.key.len()))
    }
}

/// When a column has what its field does not take, if it can; one of the key always can.
fn unfit(column: &Column) -> Option<String> {
    let name = quoted(column.name);
    let empty = (!column.is_nullable).then(|| format!("{name} IS NULL"));
    let beyond =
        column.range.map(|(least, greatest)| format!("{name} NOT BETWEEN {least} AND {greatest}"));
    let when: Vec<_> = empty.into_iter().chain(beyond).collect();
    let then = literal(column.name);
    (!when.is_empty()).then(|| format!("WHEN {} THEN {then}", when.join(" OR ")))
}

/// So many parameters, from this number on.
pub(super) fn places(first: usize, count: usize) -> String {
    let places = (first..first + count).map(|number| format!("${number}"));
    places.collect::<Vec<_>>().join(", ")
}

/// The numbers of the parameters in the SQL of a change.
pub(super) fn parameters(sql: &str) -> BTreeSet<usize> {
    let (mut found, mut text_until) = (BTreeSet::new(), None);
    for (at, c) in sql.char_indices() {
        match text_until {
            Some(end) if c == end => text_until = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => text_until = Some(c),
            None if c == '$' => {
                let digits = sql[at + 1..].split(|c: char| !c.is_ascii_digit()).next();
                found.extend(digits.and_then(|digits| digits.parse::<usize>().ok()));
            }
            None => {}
        }
    }
    found
}

/// A column as a statement that makes it says.
pub(super) fn definition(column: &Column) -> String {
    let is_text = column.sql_type == SqlType::Text;
    let key = match (column.is_key, is_text) {
        // in the order of its bytes, whatever the database's language
        (true, true) => " COLLATE \"C\" NOT NULL",
        (true, false) => " NOT NULL",
        (false, _) => "",
    };
    format!("{} {}{key}", quoted(column.name), sql_type(column.sql_type).to_uppercase())
}

/// The type of a column, as the server's catalogue names it.
pub(super) fn sql_type(of: SqlType) -> &'static str {
    match of {
        SqlType::Bool => "boolean",
        SqlType::Int => "bigint",
        SqlType::Float => "double precision",
        SqlType::Bytes => "bytea",
        SqlType::Time => "timestamp with time zone",
        SqlType::Uuid => "uuid",
        SqlType::Json => "jsonb",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_outside_of_texts() {
        let found = parameters("a = $2 + $1 * ($2 - $10) OR b = '$3 \"' OR \"c$4\" = $");
        assert_eq!(found, BTreeSet::from([1, 2, 10]));
        assert_eq!(places(3, 2), "$3, $4");
    }
}
