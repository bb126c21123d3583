//! Every refusal of one derive, so that the author sees all of them at once.

use std::fmt::Display;

use quote::ToTokens;

/// The refusals found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds a refusal that points at `tokens`; `help` says what to write instead.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display, help: impl Display) {
        let text = format!("{message}\nhelp: {help}");
        self.push(syn::Error::new_spanned(tokens, text));
    }

    /// Adds what the parser refused.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, if nothing was refused.
    pub(crate) fn finish<T>(self, value: T) -> syn::Result<T> {
        match self.0 {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}
