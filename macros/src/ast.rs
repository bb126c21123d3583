//! What the derives read: the enum, the newtype and the row, without the syntax around them.

mod table;

use proc_macro2::Ident;
use syn::{Attribute, Data, DataEnum, DeriveInput, Fields, LitStr, Path, Type};

use crate::attr::{self, EnumAttrs, VariantAttrs};
use crate::errors::Errors;
use crate::path::CratePath;
use crate::tense::snake_case;

pub(crate) use table::{Column, Table};

/// An enum of events.
pub(crate) struct EventEnum {
    pub(crate) ident: Ident,
    pub(crate) attrs: EnumAttrs,
    pub(crate) variants: Vec<Variant>,
}

/// One kind of event.
pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: Name,
    /// The schema version that is written now.
    pub(crate) version: u32,
    pub(crate) upcasts: Vec<Upcast>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) shape: Shape,
}

/// Where the stored name comes from.
pub(crate) enum Name {
    Derived(String),
    Written(LitStr),
}

/// An upcaster, and the version whose payloads it takes.
pub(crate) struct Upcast {
    pub(crate) from: syn::LitInt,
    pub(crate) from_version: u32,
    pub(crate) path: Path,
}

/// What a variant holds.
pub(crate) enum Shape {
    Unit,
    Fields(Vec<Field>),
    Payload(Box<Type>),
    /// Refused already; there is no code for it.
    Refused,
}

/// A named field of a variant.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) place: Place,
}

/// Where a field is stored.
pub(crate) enum Place {
    Payload { serde: Vec<Attribute> },
    Metadata { name: String, default: Option<MetadataDefault> },
}

/// What a metadata field is when it is absent.
pub(crate) enum MetadataDefault {
    /// `Default::default()`
    OfType,
    /// What the function answers.
    Path(syn::ExprPath),
}

impl EventEnum {
    /// Reads the enum; `None` if it is none, which stands in `errors` then.
    pub(crate) fn read(input: &DeriveInput, attrs: EnumAttrs, errors: &mut Errors) -> Option<Self> {
        let variants = enum_of(input, errors)?.variants.iter();
        Some(Self {
            ident: input.ident.clone(),
            attrs,
            variants: variants.map(|v| Variant::read(v, errors)).collect(),
        })
    }
}

fn enum_of<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Option<&'a DataEnum> {
    if let Data::Enum(data) = &input.data {
        return Some(data);
    }
    errors.at(
        &input.ident,
        "Event can be derived for an enum only",
        "make it an enum with one variant for each kind of event",
    );
    None
}

/// An enum of enums of events.
pub(crate) struct EventUnion {
    pub(crate) ident: Ident,
    pub(crate) es_core: CratePath,
    pub(crate) members: Vec<Member>,
}

/// One enum of events, and the variant that holds it.
pub(crate) struct Member {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

impl EventUnion {
    /// Reads the enum; `None` if it is none, which stands in `errors` then.
    pub(crate) fn read(
        input: &DeriveInput,
        es_core: CratePath,
        errors: &mut Errors,
    ) -> Option<Self> {
        let variants = enum_of(input, errors)?.variants.iter();
        Some(Self {
            ident: input.ident.clone(),
            es_core,
            members: variants.filter_map(|v| Member::read(v, errors)).collect(),
        })
    }
}

impl Member {
    fn read(variant: &syn::Variant, errors: &mut Errors) -> Option<Self> {
        attr::refuse_in_union(&variant.attrs, errors);
        if let Fields::Unnamed(fields) = &variant.fields
            && fields.unnamed.len() == 1
        {
            let field = &fields.unnamed[0];
            attr::refuse_in_union(&field.attrs, errors);
            return Some(Self { ident: variant.ident.clone(), ty: field.ty.clone() });
        }
        errors.at(
            &variant.ident,
            "a union has one variant for each enum of events",
            "write the enum in it, such as `Order(OrderEvent)`",
        );
        None
    }
}

impl Variant {
    fn read(variant: &syn::Variant, errors: &mut Errors) -> Self {
        let attrs = VariantAttrs::read(&variant.attrs, errors);
        let name = match attrs.name {
            Some(name) => Name::Written(name),
            None => Name::Derived(snake_case(&variant.ident)),
        };
        Self {
            ident: variant.ident.clone(),
            name,
            version: attrs.version.unwrap_or(1),
            upcasts: attrs.upcasts,
            aliases: attrs.aliases,
            shape: Shape::read(variant, errors),
        }
    }

    /// The stored name.
    pub(crate) fn stored_name(&self) -> String {
        match &self.name {
            Name::Derived(name) => name.clone(),
            Name::Written(name) => name.value(),
        }
    }
}

impl Shape {
    fn read(variant: &syn::Variant, errors: &mut Errors) -> Self {
        match &variant.fields {
            Fields::Unit => Self::Unit,
            Fields::Named(fields) => {
                let named = fields.named.iter();
                Self::Fields(named.filter_map(|field| Field::read(field, errors)).collect())
            }
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let field = &fields.unnamed[0];
                attr::refuse_on_payload(&field.attrs, errors);
                Self::Payload(Box::new(field.ty.clone()))
            }
            Fields::Unnamed(fields) => {
                errors.at(
                    fields,
                    "the stored form of these fields has no names",
                    "use named fields, or exactly one payload struct",
                );
                Self::Refused
            }
        }
    }
}

impl Field {
    fn read(field: &syn::Field, errors: &mut Errors) -> Option<Self> {
        let ident = field.ident.clone()?;
        Some(Self {
            place: attr::place_of(&ident, &field.attrs, errors),
            ident,
            ty: field.ty.clone(),
        })
    }
}

/// A tuple struct with one field.
pub(crate) struct Newtype {
    pub(crate) ident: Ident,
    pub(crate) es_core: CratePath,
    pub(crate) ty: Type,
}

impl Newtype {
    /// Reads the struct; `None` if it is no newtype, which stands in `errors` then.
    pub(crate) fn read(input: &DeriveInput, errors: &mut Errors) -> Option<Self> {
        let es_core = attr::crate_of_id(&input.attrs, errors);
        if let Data::Struct(data) = &input.data
            && let Fields::Unnamed(fields) = &data.fields
            && fields.unnamed.len() == 1
        {
            let (ident, ty) = (input.ident.clone(), fields.unnamed[0].ty.clone());
            return Some(Self { ident, es_core, ty });
        }
        errors.at(
            &input.ident,
            "AggregateId can be derived for a tuple struct with one field only",
            format_args!("write `struct {}(i64);`, or implement the trait by hand", input.ident),
        );
        None
    }
}
