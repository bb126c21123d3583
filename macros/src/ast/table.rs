//! A row of a table, without the syntax around it.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Fields, LitStr, Type};

use crate::attr::{self, TableAttrs};
use crate::errors::Errors;
use crate::path::CratePath;

/// A struct that is a row of a table.
pub(crate) struct Table {
    pub(crate) ident: Ident,
    pub(crate) es_core: CratePath,
    pub(crate) name: LitStr,
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Vec<Ident>>,
}

/// A field of it.
pub(crate) struct Column {
    pub(crate) ident: Ident,
    /// The field's name, which is the column's.
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) is_key: bool,
}

impl Table {
    /// Reads the struct; `None` if it is no row, which stands in `errors` then.
    pub(crate) fn read(input: &DeriveInput, errors: &mut Errors) -> Option<Self> {
        let attrs = TableAttrs::read(&input.attrs, errors);
        let ident = input.ident.clone();
        let columns = match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(fields) => Some(fields.named.iter()),
                _ => None,
            },
            _ => None,
        };
        let Some(columns) = columns else {
            errors.at(
                &ident,
                "TableRow can be derived for a struct with named fields only",
                "write a field for each column",
            );
            return None;
        };
        let columns = columns.filter_map(|field| Column::read(field, errors)).collect();
        let Some(name) = attrs.name else {
            errors.at(
                &ident,
                "the table has no name",
                "write it before the struct: `#[table(name = \"open_orders\")]`",
            );
            return None;
        };
        Some(Self { ident, es_core: attrs.es_core, name, columns, indexes: attrs.indexes })
    }
}

impl Column {
    fn read(field: &syn::Field, errors: &mut Errors) -> Option<Self> {
        let ident = field.ident.clone()?;
        let is_key = attr::is_key(&field.attrs, errors);
        Some(Self { name: ident.unraw().to_string(), ident, ty: field.ty.clone(), is_key })
    }
}
