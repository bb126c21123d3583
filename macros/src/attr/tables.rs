//! The attributes of a row of a table.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Token, parenthesized};

use super::{crate_path, skip_value, twice, unknown};
use crate::errors::Errors;
use crate::path::CratePath;

/// The keys of a row.
#[derive(Default)]
pub(crate) struct TableAttrs {
    pub(crate) es_core: CratePath,
    pub(crate) name: Option<LitStr>,
    /// The columns of each index.
    pub(crate) indexes: Vec<Vec<Ident>>,
}

impl TableAttrs {
    /// Reads the `#[table(...)]` attributes of a struct.
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let (mut read, mut es_core) = (Self::default(), None);
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("table")) {
            let parsed = attr.parse_nested_meta(|meta| match meta.path.is_ident("crate") {
                true => crate_path(&meta, &mut es_core, errors),
                false => read.key(&meta, errors),
            });
            if let Err(error) = parsed {
                errors.push(error);
            }
        }
        Self { es_core: es_core.unwrap_or_default(), ..read }
    }

    fn key(&mut self, meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<()> {
        if meta.path.is_ident("name") {
            if self.name.replace(meta.value()?.parse()?).is_some() {
                twice(meta, errors);
            }
        } else if meta.path.is_ident("index") {
            let content;
            parenthesized!(content in meta.input);
            let columns = Punctuated::<Ident, Token![,]>::parse_terminated(&content)?;
            if columns.is_empty() {
                errors.at(
                    &meta.path,
                    "an index of no columns",
                    "write the columns: `index(customer)`",
                );
            } else {
                self.indexes.push(columns.into_iter().collect());
            }
        } else {
            let help =
                "the keys of a row are `name`, `index` and `crate`; `key` stands before a field";
            unknown(meta, help, errors);
            skip_value(meta)?;
        }
        Ok(())
    }
}

/// True if the attributes of a field say that it tells one row from another.
pub(crate) fn is_key(attrs: &[Attribute], errors: &mut Errors) -> bool {
    let mut is_key = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("table")) {
        let parsed = attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("key") {
                unknown(&meta, "the only key of a field is `key`", errors);
                return skip_value(&meta);
            }
            if is_key {
                twice(&meta, errors);
            }
            is_key = true;
            Ok(())
        });
        if let Err(error) = parsed {
            errors.push(error);
        }
    }
    is_key
}
