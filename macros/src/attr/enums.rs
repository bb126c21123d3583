//! The attributes of an enum of events, and of a union.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Path, Token, parenthesized};

use super::{crate_path, each_key, refuse_serde, skip_value, twice, unknown};
use crate::errors::Errors;
use crate::path::CratePath;

/// The keys of an enum.
#[derive(Default)]
pub(crate) struct EnumAttrs {
    pub(crate) es_core: CratePath,
    pub(crate) union: bool,
    /// Stored names that stand for nothing any more.
    pub(crate) retired: Vec<LitStr>,
    pub(crate) splits: Vec<Split>,
    tense: Option<LitStr>,
    reason: Option<LitStr>,
}

/// A stored name that stands for several events.
pub(crate) struct Split {
    pub(crate) name: LitStr,
    /// What makes them of the payload.
    pub(crate) function: Path,
    /// The variants that they may be.
    pub(crate) parts: Vec<Ident>,
}

impl EnumAttrs {
    /// Reads the `#[event(...)]` attributes of an enum.
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        refuse_serde(attrs, errors);
        let (mut read, mut es_core) = (Self::default(), None);
        each_key(attrs, "event", errors, |meta, errors| match meta.path.is_ident("crate") {
            true => crate_path(meta, &mut es_core, errors),
            false => read.key(meta, errors),
        });
        match read.union {
            true => read.refuse_names(errors),
            false => read.check_tense(errors),
        }
        Self { es_core: es_core.unwrap_or_default(), ..read }
    }

    fn key(&mut self, meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<()> {
        if meta.path.is_ident("union") {
            if self.union {
                twice(meta, errors);
            }
            self.union = true;
        } else if meta.path.is_ident("retired") {
            let content;
            parenthesized!(content in meta.input);
            self.retired.extend(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?);
        } else if meta.path.is_ident("split") {
            let content;
            parenthesized!(content in meta.input);
            self.splits.push(Split::parse(&content)?);
        } else if meta.path.is_ident("tense") {
            if self.tense.replace(meta.value()?.parse()?).is_some() {
                twice(meta, errors);
            }
        } else if meta.path.is_ident("reason") {
            if self.reason.replace(meta.value()?.parse()?).is_some() {
                twice(meta, errors);
            }
        } else {
            let help = "the keys of an enum are `retired`, `split`, `tense`, `reason`, `crate` and \
                        `union`; others stand before a variant or a field";
            unknown(meta, help, errors);
            skip_value(meta)?;
        }
        Ok(())
    }

    fn refuse_names(&self, errors: &mut Errors) {
        let split = self.splits.iter().map(|split| &split.name);
        let names = self.retired.iter().chain(split).chain(&self.tense).chain(&self.reason);
        for name in names {
            errors.at(
                name,
                "a union has no names of its own",
                "write the attribute in the enum whose names it is about",
            );
        }
    }

    fn check_tense(&self, errors: &mut Errors) {
        match (&self.tense, &self.reason) {
            (Some(tense), _) if tense.value() != "any" => errors.at(
                tense,
                format_args!("there is no tense `{}`", tense.value()),
                "events are named in the past tense; `tense = \"any\", reason = \"...\"` sets that \
                 aside",
            ),
            (Some(tense), None) => errors.at(
                tense,
                "the past tense is set aside without a reason",
                "say why: `tense = \"any\", reason = \"the warehouse speaks German\"`",
            ),
            (Some(_), Some(reason)) if reason.value().trim().is_empty() => errors.at(
                reason,
                "the reason is empty",
                "say why the names are not in the past tense",
            ),
            (None, Some(reason)) => errors.at(
                reason,
                "a reason is given and no tense",
                "write `tense = \"any\"` before it, or remove it",
            ),
            _ => {}
        }
    }

    /// True if the names need not be in the past tense.
    pub(crate) fn any_tense(&self) -> bool {
        self.tense.is_some()
    }
}

impl Split {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=>]>()?;
        let function: Path = input.parse()?;
        let colon: Option<Token![:]> = input.parse()?;
        let parts = Punctuated::<Ident, Token![,]>::parse_terminated(input)?;
        if colon.is_none() || parts.is_empty() {
            let text = "a split names the variants that the stored event may become\nhelp: write \
                        them after a colon: `split(\"order_made\" => make: OrderPlaced, OrderPaid)`";
            return Err(syn::Error::new_spanned(function, text));
        }
        Ok(Self { name, function, parts: parts.into_iter().collect() })
    }
}
