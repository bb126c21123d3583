//! The code of `#[derive(Event)]`.
//!
//! Named fields are written through a mirror of the enum on which serde derives `Serialize` for the
//! original (`remote`), so that field attributes see the fields' own types and nothing is copied.
//! They are read through one struct for each variant, because the stored name chooses the variant.
//! A payload struct is written and read as it is.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::ast::{EventEnum, Field, MetadataDefault, Place, Shape, Variant};
use crate::tense::snake_case;

/// The impl and its hidden types.
pub(crate) fn expand(events: &EventEnum) -> TokenStream {
    let ident = &events.ident;
    let mirror = mirror(events);
    let stored = events.variants.iter().map(|variant| stored(variant, ident));
    let types = events.variants.iter().map(event_type);
    let kinds = events.variants.iter().enumerate().map(|(i, variant)| {
        let variant = &variant.ident;
        quote!(Self::#variant { .. } => &<Self as ::es_core::Event>::TYPES[#i])
    });
    let constants = events.variants.iter().enumerate().map(|(i, variant)| {
        let name = format_ident!("{}", snake_case(&variant.ident).to_uppercase());
        let doc = format!("The kind of [`{ident}::{}`].", variant.ident);
        quote! {
            #[doc = #doc]
            #[allow(dead_code)]
            pub const #name: ::es_core::EventType = <Self as ::es_core::Event>::TYPES[#i];
        }
    });
    let write = events.variants.iter().map(write);
    let decode = events.variants.iter().map(decode);
    let too_long = events.variants.iter().map(name_fits);
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
            #(#too_long)*

            #[automatically_derived]
            impl #ident {
                #(#constants)*
            }

            #[automatically_derived]
            impl ::es_core::Event for #ident {
                const TYPES: &'static [::es_core::EventType] = &[#(#types),*];

                fn event_type(&self) -> &'static ::es_core::EventType {
                    match self {
                        #(#kinds,)*
                    }
                }

                fn encode(
                    &self,
                    __metadata: &mut ::es_core::Metadata,
                ) -> ::core::result::Result<::es_core::Payload, ::es_core::EncodeError> {
                    let __name = <Self as ::es_core::Event>::event_type(self).name;
                    match self {
                        #(#write,)*
                    }
                }

                fn decode(
                    __stored: ::es_core::StoredEvent<'_>,
                ) -> ::core::result::Result<::es_core::Decoded<Self>, ::es_core::DecodeError> {
                    let __event = match __stored.event_type {
                        #(#decode)*
                        _ => return ::core::result::Result::Err(
                            ::es_core::__private::unknown_type::<Self>(__stored.event_type),
                        ),
                    };
                    ::core::result::Result::Ok(::es_core::Decoded::One(__event))
                }
            }
        };
    }
}

fn event_type(variant: &Variant) -> TokenStream {
    let (name, aliases, version) = (variant.stored_name(), &variant.aliases, variant.version);
    quote! {
        ::es_core::EventType::new(#name, #version).aliases(&[#(#aliases),*])
    }
}

/// The length is checked where the limit is defined, not here.
fn name_fits(variant: &Variant) -> TokenStream {
    let name = variant.stored_name();
    quote_spanned! {variant.ident.span()=>
        const _: () = ::core::assert!(
            #name.len() <= ::es_core::Limits::EVENT_TYPE_BYTES,
            "the name of this event is longer than Limits::EVENT_TYPE_BYTES",
        );
    }
}

/// The enum that tells serde how to write the original.
fn mirror(events: &EventEnum) -> TokenStream {
    let ident = &events.ident;
    let path = ident.to_string();
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
        #[derive(::es_core::__private::serde::Serialize)]
        #[serde(crate = "::es_core::__private::serde", remote = #path, untagged)]
        enum __Mirror {
            #(#variants,)*
        }

        struct __Payload<'a>(&'a #ident);

        #[automatically_derived]
        impl ::es_core::__private::serde::Serialize for __Payload<'_> {
            fn serialize<__S: ::es_core::__private::serde::Serializer>(
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
fn stored(variant: &Variant, events: &Ident) -> Option<TokenStream> {
    let name = stored_name(variant);
    let attributes = quote! {
        #[derive(::es_core::__private::serde::Deserialize)]
        #[serde(crate = "::es_core::__private::serde")]
    };
    match &variant.shape {
        Shape::Unit | Shape::Refused | Shape::Payload(_) => None,
        Shape::Fields(fields) => {
            let fields = fields.iter().filter_map(|field| match &field.place {
                Place::Payload { serde } => {
                    let (name, ty) = (&field.ident, without_self(&field.ty, events));
                    Some(quote!(#(#serde)* #name: #ty))
                }
                Place::Metadata { .. } => None,
            });
            Some(quote!(#attributes struct #name { #(#fields),* }))
        }
    }
}

fn stored_name(variant: &Variant) -> Ident {
    format_ident!("__Stored{}", variant.ident.unraw(), span = proc_macro2::Span::call_site())
}

/// The arm of `encode` for one variant.
fn write(variant: &Variant) -> TokenStream {
    let ident = &variant.ident;
    let fields = match &variant.shape {
        Shape::Fields(fields) => &**fields,
        Shape::Unit | Shape::Refused => &[],
        Shape::Payload(ty) => {
            let write = quote!(::es_core::__private::payload_of::<#ty>);
            return quote!(Self::#ident(__payload) => #write(__name, __payload));
        }
    };
    let placed = fields.iter().enumerate().filter_map(|(i, field)| {
        let Place::Metadata { name, .. } = &field.place else {
            return None;
        };
        let (ident, ty, bound) = (&field.ident, &field.ty, format_ident!("__field{i}"));
        let set = quote!(::es_core::__private::set_metadata::<#ty>);
        Some((quote!(#ident: #bound), quote!(#set(__metadata, __name, #name, #bound)?;)))
    });
    let (patterns, sets): (Vec<_>, Vec<_>) = placed.unzip();
    quote! {
        Self::#ident { #(#patterns,)* .. } => {
            #(#sets)*
            ::es_core::__private::payload_of::<__Payload<'_>>(__name, &__Payload(self))
        }
    }
}

/// The arm of `decode` for one variant.
fn decode(variant: &Variant) -> TokenStream {
    let (ident, name, aliases) = (&variant.ident, variant.stored_name(), &variant.aliases);
    let (version, stored) = (variant.version, stored_name(variant));
    let upcasters = upcasters(variant);
    let read = quote!(::es_core::__private::payload);
    let body = match &variant.shape {
        Shape::Refused => TokenStream::new(),
        Shape::Unit => quote! {
            let ::es_core::__private::Nothing = #read(&__stored, #version, #upcasters)?;
            Self::#ident
        },
        Shape::Payload(ty) => {
            let payload = quote!(#read::<#ty>(&__stored, #version, #upcasters)?);
            quote!(Self::#ident(#payload))
        }
        Shape::Fields(fields) => {
            let values = fields.iter().map(|field| {
                let name = &field.ident;
                let value = value(field);
                quote!(#name: #value)
            });
            let has_payload =
                fields.iter().any(|field| matches!(field.place, Place::Payload { .. }));
            let payload = if has_payload { quote!(__payload) } else { quote!(_) };
            quote! {
                let ::es_core::__private::Object(#payload) =
                    #read::<::es_core::__private::Object<#stored>>(
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

/// The upcasters in the order of the versions that they take.
fn upcasters(variant: &Variant) -> TokenStream {
    let mut upcasts: Vec<_> = variant.upcasts.iter().collect();
    upcasts.sort_by_key(|upcast| upcast.from_version);
    let paths = upcasts.iter().map(|upcast| &upcast.path);
    quote!(&[#(#paths),*])
}

/// The expression that a field of a decoded event gets.
fn value(field: &Field) -> TokenStream {
    let ident = &field.ident;
    let (name, default) = match &field.place {
        Place::Payload { .. } => return quote!(__payload.#ident),
        Place::Metadata { name, default } => (name, default),
    };
    let ty = &field.ty;
    let default = match default {
        None => return quote!(::es_core::__private::metadata::<#ty>(&__stored, #name)?),
        Some(MetadataDefault::OfType) => quote!(<#ty as ::core::default::Default>::default),
        Some(MetadataDefault::Path(path)) => path.to_token_stream(),
    };
    quote!(::es_core::__private::metadata_or::<#ty>(&__stored, #name, #default)?)
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
