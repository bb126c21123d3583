//! The attributes: `#[event(...)]` on enums, variants and fields, the serde ones that concern us, and
//! `#[table(...)]` on rows.

mod enums;
mod tables;

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitInt, LitStr, Token, parenthesized};

use crate::ast::{MetadataDefault, Place, Upcast};
use crate::errors::Errors;
use crate::path::CratePath;

pub(crate) use enums::{EnumAttrs, Split};
pub(crate) use tables::{TableAttrs, is_key};

/// The keys of one variant.
#[derive(Default)]
pub(crate) struct VariantAttrs {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) aliases: Vec<LitStr>,
}

impl VariantAttrs {
    /// Reads the `#[event(...)]` attributes of a variant.
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        refuse_serde(attrs, errors);
        let mut read = Self::default();
        each_key(attrs, "event", errors, |meta, errors| read.key(meta, errors));
        read
    }

    fn key(&mut self, meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<()> {
        if meta.path.is_ident("name") {
            let name: LitStr = meta.value()?.parse()?;
            if self.name.replace(name).is_some() {
                twice(meta, errors);
            }
        } else if meta.path.is_ident("version") {
            let version = number(&meta.value()?.parse()?, errors);
            if self.version.replace(version).is_some() {
                twice(meta, errors);
            }
        } else if meta.path.is_ident("alias") {
            self.aliases.push(meta.value()?.parse()?);
        } else if meta.path.is_ident("upcast") {
            let content;
            parenthesized!(content in meta.input);
            let upcasts = Punctuated::<_, Token![,]>::parse_terminated_with(&content, |input| {
                let from: LitInt = input.parse()?;
                input.parse::<Token![=>]>()?;
                Ok((from, input.parse()?))
            })?;
            for (from, path) in upcasts {
                let from_version = number(&from, errors);
                self.upcasts.push(Upcast { from, from_version, path });
            }
        } else if meta.path.is_ident("metadata") {
            errors.at(
                &meta.path,
                "`metadata` is the key of a field, not of a variant",
                "write `#[event(metadata)]` before the field",
            );
            skip_value(meta)?;
        } else {
            unknown(
                meta,
                "the keys of a variant are `name`, `version`, `upcast` and `alias`",
                errors,
            );
            skip_value(meta)?;
        }
        Ok(())
    }
}

/// Has each key in the attributes of this name read; what cannot be read is refused.
fn each_key(
    attrs: &[Attribute],
    of: &str,
    errors: &mut Errors,
    mut read: impl FnMut(&ParseNestedMeta<'_>, &mut Errors) -> syn::Result<()>,
) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(of)) {
        if let Err(error) = attr.parse_nested_meta(|meta| read(&meta, errors)) {
            errors.push(error);
        }
    }
}

/// True if the attributes of a field have this key, which is the only one that they may have.
fn is_marked(attrs: &[Attribute], of: &str, key: &str, errors: &mut Errors) -> bool {
    let mut is_marked = false;
    each_key(attrs, of, errors, |meta, errors| {
        if !meta.path.is_ident(key) {
            unknown(meta, &format!("the only key of a field is `{key}`"), errors);
            return skip_value(meta);
        }
        if is_marked {
            twice(meta, errors);
        }
        is_marked = true;
        Ok(())
    });
    is_marked
}

/// Reads the `#[aggregate_id(...)]` attributes of a newtype, whose only key is `crate`.
pub(crate) fn crate_of_id(attrs: &[Attribute], errors: &mut Errors) -> CratePath {
    let mut es_core = None;
    each_key(attrs, "aggregate_id", errors, |meta, errors| {
        if meta.path.is_ident("crate") {
            return crate_path(meta, &mut es_core, errors);
        }
        unknown(meta, "the only key of an id is `crate`", errors);
        skip_value(meta)
    });
    es_core.unwrap_or_default()
}

fn crate_path(
    meta: &ParseNestedMeta<'_>,
    es_core: &mut Option<CratePath>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let text = meta.value()?.parse()?;
    if es_core.replace(CratePath::read(&text, errors)).is_some() {
        twice(meta, errors);
    }
    Ok(())
}

/// A version; 1, with a refusal, if it is none.
fn number(literal: &LitInt, errors: &mut Errors) -> u32 {
    match literal.base10_parse() {
        Ok(0) => {
            errors.at(literal, "there is no version 0", "versions count from 1");
            1
        }
        Ok(version) => version,
        Err(error) => {
            errors.at(literal, error, "versions are whole numbers from 1");
            1
        }
    }
}

fn twice(meta: &ParseNestedMeta<'_>, errors: &mut Errors) {
    let key = shown(meta);
    errors.at(&meta.path, format_args!("`{key}` is given twice"), "keep one of them");
}

fn unknown(meta: &ParseNestedMeta<'_>, help: &str, errors: &mut Errors) {
    let key = shown(meta);
    errors.at(&meta.path, format_args!("unknown key `{key}`"), help);
}

fn shown(meta: &ParseNestedMeta<'_>) -> String {
    let segments = meta.path.segments.iter();
    let words: Vec<_> = segments.map(|part| part.ident.to_string()).collect();
    words.join("::")
}

/// Reads over the value of an unknown key, so that the keys behind it are looked at too.
fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

/// Refuses attributes within a union.
pub(crate) fn refuse_in_union(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs.iter().filter(is_ours) {
        errors.at(
            attr,
            "an event of a union is stored as its own enum says",
            "write the attribute in that enum",
        );
    }
}

fn is_ours(attr: &&Attribute) -> bool {
    attr.path().is_ident("event") || attr.path().is_ident("serde")
}

/// Refuses serde attributes where they would change nothing.
fn refuse_serde(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        errors.at(
            attr,
            "serde attributes have an effect on the fields of an event only",
            "write it before each field; the stored name is `#[event(name = \"...\")]`",
        );
    }
}

/// Refuses attributes on the payload struct of a variant.
pub(crate) fn refuse_on_payload(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs.iter().filter(is_ours) {
        errors.at(
            attr,
            "a payload struct is stored as it is and has no attributes here",
            "write serde attributes in the struct, or give the variant named fields",
        );
    }
}

/// The serde attributes among `attrs`.
fn serde_of(attrs: &[Attribute]) -> Vec<Attribute> {
    let serde = attrs.iter().filter(|attr| attr.path().is_ident("serde"));
    serde.cloned().collect()
}

/// Where the field `ident` is stored.
pub(crate) fn place_of(ident: &Ident, attrs: &[Attribute], errors: &mut Errors) -> Place {
    if is_marked(attrs, "event", "metadata", errors) {
        metadata_place(ident, attrs, errors)
    } else {
        Place::Payload { serde: serde_of(attrs) }
    }
}

fn metadata_place(ident: &Ident, attrs: &[Attribute], errors: &mut Errors) -> Place {
    let mut name = ident.unraw().to_string();
    let mut default = None;
    each_key(attrs, "serde", errors, |meta, errors| {
        if meta.path.is_ident("rename") {
            name = meta.value()?.parse::<LitStr>()?.value();
        } else if meta.path.is_ident("default") {
            default = Some(if meta.input.peek(Token![=]) {
                MetadataDefault::Path(meta.value()?.parse::<LitStr>()?.parse()?)
            } else {
                MetadataDefault::OfType
            });
        } else {
            let key = shown(meta);
            errors.at(
                &meta.path,
                format_args!("serde's `{key}` does not work on a metadata field"),
                "use `rename` and `default`; for more, give the field a type of its own",
            );
            skip_value(meta)?;
        }
        Ok(())
    });
    if name == "event_version" {
        errors.at(
            ident,
            "the metadata field `event_version` is the schema version, which is set for you",
            "give the field another name",
        );
    }
    Place::Metadata { name, default }
}
