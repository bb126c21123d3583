//! The rules that concern an enum as a whole; those of single attributes are in `attr`.

mod table;

use std::collections::HashMap;

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{DeriveInput, LitStr};

use crate::ast::{EventEnum, EventUnion, Name, Place, Shape, Variant};
use crate::errors::Errors;
use crate::tense;

pub(crate) use table::table;

/// How many missing upcasters are named at most.
const NAMED: usize = 5;

/// Refuses generic parameters.
pub(crate) fn no_generics(input: &DeriveInput, what: &str, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        errors.at(
            &input.generics,
            format_args!("{what} has no generic parameters, because its stored form is fixed"),
            "write the types out",
        );
    }
}

/// Checks every variant, alone and against the others.
pub(crate) fn events(events: &EventEnum, errors: &mut Errors) {
    if events.variants.is_empty() {
        errors.at(
            &events.ident,
            "an enum of events needs at least one variant",
            "add the first event, such as `OrderPlaced`",
        );
    }
    for variant in &events.variants {
        name(variant, events.attrs.any_tense(), errors);
        upcasts(variant, errors);
        metadata_names(variant, errors);
    }
    distinct_names(events, errors);
    parts(events, errors);
}

/// Checks a union as a whole; what its members share is checked where their names are known.
pub(crate) fn union(union: &EventUnion, errors: &mut Errors) {
    if union.members.is_empty() {
        errors.at(
            &union.ident,
            "a union needs at least one enum of events",
            "add the first, such as `Order(OrderEvent)`",
        );
    }
    for (i, member) in union.members.iter().enumerate() {
        if let Some(first) = union.members[..i].iter().find(|first| first.ty == member.ty) {
            errors.at(
                &member.ty,
                "an enum of events stands in a union once",
                format_args!("`{}` holds it already; remove one of them", first.ident),
            );
        }
    }
}

fn name(variant: &Variant, any_tense: bool, errors: &mut Errors) {
    match &variant.name {
        Name::Written(name) if !tense::is_snake_case(&name.value()) => errors.at(
            name,
            format_args!("`{}` is not snake_case", name.value()),
            format_args!(
                "what is written is snake_case, such as `{}`; read another store's name with \
                 `alias`",
                tense::snake_case(&variant.ident)
            ),
        ),
        Name::Derived(name) if !tense::is_snake_case(name) => errors.at(
            &variant.ident,
            format_args!("`{name}` is no event type name"),
            "use letters a to z, or write the name out: `#[event(name = \"...\")]`",
        ),
        Name::Derived(name) if !any_tense && !tense::is_past(name) => errors.at(
            &variant.ident,
            format_args!("event `{name}` is not in the past tense"),
            format_args!(
                "{}name what happened, such as `{}`, or write the name out: \
                 `#[event(name = \"{name}\")]`",
                match variant.shape {
                    Shape::Payload(_) => {
                        "if this is an enum of events, write `#[event(union)]` before the whole; else "
                    }
                    _ => "",
                },
                tense::suggestion(name)
            ),
        ),
        _ => {}
    }
    for alias in &variant.aliases {
        read_name(alias, errors);
    }
}

/// A name that is read and never written may be of any store.
fn read_name(name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        errors.at(
            name,
            format_args!("`{}` is no stored name", text.escape_debug()),
            "write 1 to 100 bytes without white space and control characters, or remove it",
        );
    }
}

fn upcasts(variant: &Variant, errors: &mut Errors) {
    let (name, version) = (variant.stored_name(), variant.version);
    let mut seen = HashMap::new();
    for upcast in &variant.upcasts {
        let from = upcast.from_version;
        if from >= version {
            errors.at(
                &upcast.from,
                format_args!(
                    "event `{name}` is at version {version}, nothing is upcast from {from}"
                ),
                format_args!(
                    "upcast from an older version, or write `version = {}`",
                    from.saturating_add(1)
                ),
            );
        } else if seen.insert(from, ()).is_some() {
            errors.at(
                &upcast.from,
                format_args!("event `{name}` has two upcasters from version {from}"),
                "keep one of them",
            );
        }
    }
    let mut missing = (1..version).filter(|from| !seen.contains_key(from));
    let named: Vec<_> = missing.by_ref().take(NAMED).collect();
    if let Some(first) = named.first() {
        let listed: Vec<_> = named.iter().map(u32::to_string).collect();
        let (listed, more) = (listed.join(", "), if missing.next().is_some() { ", …" } else { "" });
        errors.at(
            &variant.ident,
            format_args!(
                "event `{name}` is at version {version} but has no upcaster from version {listed}{more}"
            ),
            format_args!(
                "add `upcast({first} => path::of_function)`, a \
                 `fn(&mut es_core::event::Fields)`"
            ),
        );
    }
}

fn metadata_names(variant: &Variant, errors: &mut Errors) {
    let Shape::Fields(fields) = &variant.shape else {
        return;
    };
    let mut seen = HashMap::new();
    for field in fields {
        if let Place::Metadata { name, .. } = &field.place
            && let Some(first) = seen.insert(name, &field.ident)
        {
            errors.at(
                &field.ident,
                format_args!("the metadata field `{name}` is used twice"),
                format_args!("`{first}` stands there already; rename one of them"),
            );
        }
    }
}

fn distinct_names(events: &EventEnum, errors: &mut Errors) {
    let mut seen = HashMap::new();
    for variant in &events.variants {
        let ident = &variant.ident;
        let own: &dyn Fn() -> TokenStream = &|| match &variant.name {
            Name::Written(name) => name.to_token_stream(),
            Name::Derived(_) => ident.to_token_stream(),
        };
        let aliases = variant.aliases.iter();
        let names = std::iter::once((variant.stored_name(), own()))
            .chain(aliases.map(|alias| (alias.value(), alias.to_token_stream())));
        for (name, tokens) in names.filter(|(name, _)| !name.is_empty()) {
            match seen.get(&name) {
                Some(first) => errors.at(
                    tokens,
                    format_args!("event type name `{name}` is used twice"),
                    format_args!("`{first}` has it already; a stored name means one kind of event"),
                ),
                None => {
                    seen.insert(name, ident);
                }
            }
        }
    }
    read_only_names(events, &seen, errors);
}

/// The names that are retired or split; `written` are those of variants.
fn read_only_names(events: &EventEnum, written: &HashMap<String, &Ident>, errors: &mut Errors) {
    let split = events.attrs.splits.iter().map(|split| ("split", &split.name));
    let retired = events.attrs.retired.iter().map(|name| ("retired", name));
    let mut seen = HashMap::new();
    for (key, name) in retired.chain(split) {
        read_name(name, errors);
        let text = name.value();
        if let Some(variant) = written.get(&text) {
            let message = format!("`{text}` stands in `{key}`, and is a name of `{variant}`");
            let help = match key {
                "split" => format!("give `{variant}` a new name, and leave the old one to `split`"),
                _ => format!("what is retired is never used again: give `{variant}` another name"),
            };
            errors.at(name, message, help);
        } else if let Some(first) = seen.insert(text, key) {
            errors.at(
                name,
                format_args!("event type name `{}` is used twice", name.value()),
                format_args!("it stands in `{first}` already; a stored name means one thing"),
            );
        }
    }
}

fn parts(events: &EventEnum, errors: &mut Errors) {
    for part in events.attrs.splits.iter().flat_map(|split| &split.parts) {
        if !events.variants.iter().any(|variant| variant.ident == *part) {
            errors.at(
                part,
                format_args!("`{}` has no variant `{part}`", events.ident),
                "write a variant that the stored event may become",
            );
        }
    }
}
