//! The rules of a row of a table.

use std::collections::HashSet;

use quote::ToTokens;

use crate::ast::Table;
use crate::errors::Errors;
use crate::tense;

const NAME_BYTES: usize = 40;

/// The longest name that PostgreSQL keeps whole.
const INDEX_BYTES: usize = 63;

/// Checks the names of a table, its key and its indexes.
pub(crate) fn table(table: &Table, errors: &mut Errors) {
    name(&table.name, &table.name.value(), "table", errors);
    for column in &table.columns {
        if column.name == "generation" {
            errors.at(
                &column.ident,
                "the column `generation` tells models apart, and is written for you",
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
        let names: Vec<_> = index.iter().map(ToString::to_string).collect();
        let name = format!("{}_{}", table.name.value(), names.join("_"));
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
