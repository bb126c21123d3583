//! The path under which es-core is known where a derive stands.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{LitStr, Path, parse_quote};

use crate::errors::Errors;

/// `::es_core`, unless an attribute says otherwise.
pub(crate) struct CratePath {
    path: Path,
    text: String,
}

impl Default for CratePath {
    fn default() -> Self {
        Self { path: parse_quote!(::es_core), text: "::es_core".to_owned() }
    }
}

impl CratePath {
    /// The path that is written there.
    pub(crate) fn read(text: &LitStr, errors: &mut Errors) -> Self {
        if let Ok(path) = text.parse_with(Path::parse_mod_style) {
            return Self { path, text: text.value() };
        }
        errors.at(
            text,
            format_args!("`{}` is no path", text.value()),
            "write the path under which es-core is known here, such as `crate = \"shop::es\"`",
        );
        Self::default()
    }

    /// The path to serde, as serde's own attributes take it.
    pub(crate) fn serde(&self) -> String {
        format!("{}::__private::serde", self.text)
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.path.to_tokens(tokens);
    }
}
