//! The attributes of a row of a table.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Token, parenthesized};

use super::{crate_path, each_key, is_marked, skip_value, twice, unknown};
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
        each_key(attrs, "table", errors, |meta, errors| match meta.path.is_ident("crate") {
            true => crate_path(meta, &mut es_core, errors),
            false => read.key(meta, errors),
        });
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
    is_marked(attrs, "table", "key", errors)
}
