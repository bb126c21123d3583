//! The code of `#[derive(Event)]`.
//!
//! Named fields are written through a mirror of the enum on which serde derives `Serialize` for the
//! original (`remote`), so that field attributes see the fields' own types and nothing is copied.
//! They are read through one struct for each variant, because the stored name chooses the variant.
//! A payload struct is written and read as it is. Retired and split names are read only.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::ast::{EventEnum, Field, MetadataDefault, Place, Shape, Variant};
use crate::attr::Split;
use crate::path::CratePath;
use crate::tense::snake_case;

/// The impl and its hidden types.
pub(crate) fn expand(events: &EventEnum) -> TokenStream {
    let (ident, es) = (&events.ident, &events.attrs.es_core);
    let mirror = mirror(events);
    let stored = events.variants.iter().map(|variant| stored(variant, events));
    let types = events.variants.iter().map(|variant| event_type(variant, events));
    let retired = &events.attrs.retired;
    let kinds = events.variants.iter().enumerate().map(|(i, variant)| {
        let variant = &variant.ident;
        quote!(Self::#variant { .. } => &<Self as #es::Event>::TYPES[#i])
    });
    let constants = events.variants.iter().enumerate().map(|(i, variant)| {
        let name = format_ident!("{}", snake_case(&variant.ident).to_uppercase());
        let doc = format!("The kind of [`{ident}::{}`].", variant.ident);
        quote! {
            #[doc = #doc]
            #[allow(dead_code)]
            pub const #name: #es::event::EventType = <Self as #es::Event>::TYPES[#i];
        }
    });
    let write = events.variants.iter().map(|variant| write(variant, es));
    let decode = events.variants.iter().map(|variant| decode(variant, es));
    let nothing = (!retired.is_empty()).then(
        || quote!(#(#retired)|* => return ::core::result::Result::Ok(#es::event::Decoded::Nothing),),
    );
    let split = events.attrs.splits.iter().map(|split| self::split(split, es));
    let names_fit = names_fit(events);
    quote! {
        #[allow(
            deprecated,
            non_camel_case_types,
            non_snake_case,
            unused_qualifications,
            clippy::absolute_paths
        )]
        const _: () = {
            #mirror
            #(#stored)*
            #names_fit

            #[automatically_derived]
            impl #ident {
                #(#constants)*
            }

            #[automatically_derived]
            impl #es::Event for #ident {
                const TYPES: &'static [#es::event::EventType] = &[#(#types),*];
                const RETIRED: &'static [&'static str] = &[#(#retired),*];

                fn event_type(&self) -> &'static #es::event::EventType {
                    match self {
                        #(#kinds,)*
                    }
                }

                fn encode(
                    &self,
                    __metadata: &mut #es::event::Metadata,
                ) -> ::core::result::Result<#es::event::Payload, #es::event::EncodeError> {
                    let __name = <Self as #es::Event>::event_type(self).name;
                    match self {
                        #(#write,)*
                    }
                }

                fn decode(
                    __stored: #es::event::StoredEvent<'_>,
                ) -> ::core::result::Result<#es::event::Decoded<Self>, #es::event::DecodeError> {
                    let __event = match __stored.event_type {
                        #(#decode)*
                        #nothing
                        #(#split)*
                        _ => return ::core::result::Result::Err(
                            #es::__private::unknown_type::<Self>(__stored.event_type),
                        ),
                    };
                    ::core::result::Result::Ok(#es::event::Decoded::One(__event))
                }
            }
        };
    }
}

fn event_type(variant: &Variant, events: &EventEnum) -> TokenStream {
    let es = &events.attrs.es_core;
    let (name, aliases, version) = (variant.stored_name(), &variant.aliases, variant.version);
    let splits = events.attrs.splits.iter();
    let part_of = splits.filter(|split| split.parts.contains(&variant.ident)).map(|it| &it.name);
    quote! {
        #es::event::EventType::new(#name, #version)
            .aliases(&[#(#aliases),*])
            .part_of(&[#(#part_of),*])
    }
}

/// The length is checked where the limit is defined, not here.
fn names_fit(events: &EventEnum) -> TokenStream {
    let es = &events.attrs.es_core;
    let own = events.variants.iter().map(|it| (it.stored_name(), it.ident.span()));
    let read = events.variants.iter().flat_map(|variant| &variant.aliases);
    let read = read.chain(&events.attrs.retired);
    let read = read.chain(events.attrs.splits.iter().map(|split| &split.name));
    let read = read.map(|name| (name.value(), name.span()));
    let fits = own.chain(read).map(|(name, span): (String, Span)| {
        quote_spanned! {span=>
            const _: () = ::core::assert!(
                #name.len() <= #es::backend::Limits::EVENT_TYPE_BYTES,
                "the name of this event is longer than Limits::EVENT_TYPE_BYTES",
            );
        }
    });
    fits.collect()
}

/// The enum that tells serde how to write the original.
fn mirror(events: &EventEnum) -> TokenStream {
    let (ident, es) = (&events.ident, &events.attrs.es_core);
    let (path, serde) = (ident.to_string(), es.serde());
    let variants = events.variants.iter().map(|variant| {
        let name = &variant.ident;
        match &variant.shape {
            Shape::Unit | Shape::Refused => quote!(#name {}),
            Shape::Payload(ty) => {
                let ty = without_self(ty, ident);
                quote!(#name(#[serde(skip)] #ty))
            }
            Shape::Fields(fields) => {
                let fields = fields.iter().map(|field| mirror_field(field, ident));
                quote!(#name { #(#fields),* })
            }
        }
    });
    quote! {
        #[derive(#es::__private::serde::Serialize)]
        #[serde(crate = #serde, remote = #path, untagged)]
        enum __Mirror {
            #(#variants,)*
        }

        struct __Payload<'a>(&'a #ident);

        #[automatically_derived]
        impl #es::__private::serde::Serialize for __Payload<'_> {
            fn serialize<__S: #es::__private::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __Mirror::serialize(self.0, __serializer)
            }
        }
    }
}

fn mirror_field(field: &Field, events: &Ident) -> TokenStream {
    let (name, ty) = (&field.ident, without_self(&field.ty, events));
    match &field.place {
        Place::Payload { serde } => quote!(#(#serde)* #name: #ty),
        Place::Metadata { .. } => quote!(#[serde(skip_serializing)] #name: #ty),
    }
}

/// The struct that reads the payload of one variant.
fn stored(variant: &Variant, events: &EventEnum) -> Option<TokenStream> {
    let (name, es) = (stored_name(variant), &events.attrs.es_core);
    let serde = es.serde();
    let attributes = quote! {
        #[derive(#es::__private::serde::Deserialize)]
        #[serde(crate = #serde)]
    };
    match &variant.shape {
        Shape::Unit | Shape::Refused | Shape::Payload(_) => None,
        Shape::Fields(fields) => {
            let fields = fields.iter().filter_map(|field| match &field.place {
                Place::Payload { serde } => {
                    let (name, ty) = (&field.ident, without_self(&field.ty, &events.ident));
                    Some(quote!(#(#serde)* #name: #ty))
                }
                Place::Metadata { .. } => None,
            });
            Some(quote!(#attributes struct #name { #(#fields),* }))
        }
    }
}

fn stored_name(variant: &Variant) -> Ident {
    format_ident!("__Stored{}", variant.ident.unraw(), span = Span::call_site())
}

/// The arm of `encode` for one variant.
fn write(variant: &Variant, es: &CratePath) -> TokenStream {
    let ident = &variant.ident;
    let fields = match &variant.shape {
        Shape::Fields(fields) => &**fields,
        Shape::Unit | Shape::Refused => &[],
        Shape::Payload(ty) => {
            let write = quote!(#es::__private::payload_of::<#ty>);
            return quote!(Self::#ident(__payload) => #write(__name, __payload));
        }
    };
    let placed = fields.iter().enumerate().filter_map(|(i, field)| {
        let Place::Metadata { name, .. } = &field.place else {
            return None;
        };
        let (ident, ty, bound) = (&field.ident, &field.ty, format_ident!("__field{i}"));
        let set = quote!(#es::__private::set_metadata::<#ty>);
        Some((quote!(#ident: #bound), quote!(#set(__metadata, __name, #name, #bound)?;)))
    });
    let (patterns, sets): (Vec<_>, Vec<_>) = placed.unzip();
    quote! {
        Self::#ident { #(#patterns,)* .. } => {
            #(#sets)*
            #es::__private::payload_of::<__Payload<'_>>(__name, &__Payload(self))
        }
    }
}

/// The arm of `decode` for one variant.
fn decode(variant: &Variant, es: &CratePath) -> TokenStream {
    let (ident, name, aliases) = (&variant.ident, variant.stored_name(), &variant.aliases);
    let (version, stored) = (variant.version, stored_name(variant));
    let upcasters = upcasters(variant);
    let read = quote!(#es::__private::payload);
    let body = match &variant.shape {
        Shape::Refused => TokenStream::new(),
        Shape::Unit => quote! {
            let #es::__private::Nothing = #read(&__stored, #version, #upcasters)?;
            Self::#ident
        },
        Shape::Payload(ty) => {
            let payload = quote!(#read::<#ty>(&__stored, #version, #upcasters)?);
            quote!(Self::#ident(#payload))
        }
        Shape::Fields(fields) => {
            let values = fields.iter().map(|field| {
                let name = &field.ident;
                let value = value(field, es);
                quote!(#name: #value)
            });
            let has_payload =
                fields.iter().any(|field| matches!(field.place, Place::Payload { .. }));
            let payload = if has_payload { quote!(__payload) } else { quote!(_) };
            quote! {
                let #es::__private::Object(#payload) =
                    #read::<#es::__private::Object<#stored>>(
                        &__stored, #version, #upcasters,
                    )?;
                Self::#ident { #(#values),* }
            }
        }
    };
    quote! {
        #name #(| #aliases)* => { #body }
    }
}

/// The arm of `decode` for a name that stands for several events.
fn split(split: &Split, es: &CratePath) -> TokenStream {
    let Split { name, function, .. } = split;
    quote! {
        #name => {
            let __split: #es::__private::Splitter<Self> = #function;
            return #es::__private::split(&__stored, __split);
        }
    }
}

/// The upcasters in the order of the versions that they take.
fn upcasters(variant: &Variant) -> TokenStream {
    let mut upcasts: Vec<_> = variant.upcasts.iter().collect();
    upcasts.sort_by_key(|upcast| upcast.from_version);
    let paths = upcasts.iter().map(|upcast| &upcast.path);
    quote!(&[#(#paths),*])
}

/// The expression that a field of a decoded event gets.
fn value(field: &Field, es: &CratePath) -> TokenStream {
    let ident = &field.ident;
    let (name, default) = match &field.place {
        Place::Payload { .. } => return quote!(__payload.#ident),
        Place::Metadata { name, default } => (name, default),
    };
    let ty = &field.ty;
    let default = match default {
        None => return quote!(#es::__private::metadata::<#ty>(&__stored, #name)?),
        Some(MetadataDefault::OfType) => quote!(<#ty as ::core::default::Default>::default),
        Some(MetadataDefault::Path(path)) => path.to_token_stream(),
    };
    quote!(#es::__private::metadata_or::<#ty>(&__stored, #name, #default)?)
}

/// The type with `Self` written out, because in the hidden types it would mean those.
fn without_self(ty: &syn::Type, events: &Ident) -> TokenStream {
    fn replace(tokens: TokenStream, events: &Ident) -> TokenStream {
        let replaced = tokens.into_iter().map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let mut events = events.clone();
                events.set_span(ident.span());
                TokenTree::Ident(events)
            }
            TokenTree::Group(group) => {
                let inner = replace(group.stream(), events);
                let mut replaced = proc_macro2::Group::new(group.delimiter(), inner);
                replaced.set_span(group.span());
                TokenTree::Group(replaced)
            }
            other => other,
        });
        replaced.collect()
    }
    replace(ty.to_token_stream(), events)
}
