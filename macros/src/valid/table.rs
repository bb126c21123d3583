//! The rules of a row of a table.

use std::collections::HashSet;

use quote::ToTokens;
use syn::ext::IdentExt;

use crate::ast::Table;
use crate::errors::Errors;
use crate::tense;

const NAME_BYTES: usize = 40;

/// The longest name that PostgreSQL keeps whole.
const INDEX_BYTES: usize = 63;

/// The columns that PostgreSQL gives to every table.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// Checks the names of a table, its key and its indexes.
pub(crate) fn table(table: &Table, errors: &mut Errors) {
    let own = table.name.value();
    name(&table.name, &own, "table", errors);
    if own == "excluded" || own.starts_with("pg_") || own.starts_with("sqlite_") {
        errors.at(
            &table.name,
            format_args!("`{own}` is a name that databases keep for themselves"),
            "give the table another name",
        );
    }
    for column in &table.columns {
        if column.name == "generation" {
            errors.at(
                &column.ident,
                "the column `generation` tells models apart, and is written for you",
                "give the field another name",
            );
        }
        if SYSTEM_COLUMNS.contains(&&*column.name) {
            errors.at(
                &column.ident,
                format_args!("every table of PostgreSQL has a column `{}`", column.name),
                "give the field another name",
            );
        }
        name(&column.ident, &column.name, "column", errors);
    }
    if !table.columns.iter().any(|column| column.is_key) {
        errors.at(
            &table.ident,
            "nothing tells one row from another",
            "write `#[table(key)]` before the field that does, or before several",
        );
    }
    indexes(table, errors);
}

fn name(tokens: &impl ToTokens, name: &str, what: &str, errors: &mut Errors) {
    if !tense::is_snake_case(name) || name.len() > NAME_BYTES {
        errors.at(
            tokens,
            format_args!("`{name}` is no name of a {what}"),
            format_args!("write snake_case of at most {NAME_BYTES} bytes"),
        );
    }
}

fn indexes(table: &Table, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for index in &table.indexes {
        for column in index {
            if !table.columns.iter().any(|it| it.ident == *column) {
                errors.at(
                    column,
                    format_args!("`{}` has no field `{column}`", table.ident),
                    "write the field whose column is to be found quickly",
                );
            }
        }
        let names: Vec<_> = index.iter().map(|column| column.unraw().to_string()).collect();
        let name = format!("{}({})", table.name.value(), names.join(","));
        if name.len() > INDEX_BYTES {
            errors.at(
                &index[0],
                format_args!("the index would have the name `{name}`, which is too long"),
                "leave columns out, or shorten their names",
            );
        }
        if !seen.insert(name) {
            errors.at(&index[0], "an index is given twice", "keep one of them");
        }
    }
}
