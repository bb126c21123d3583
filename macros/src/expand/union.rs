//! The code of `#[derive(Event)]` with `#[event(union)]`, which leaves everything to the members.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{LitStr, Type};

use crate::ast::EventUnion;
use crate::path::CratePath;

/// The impls, and the assertions that no stored name is shared.
pub(crate) fn expand(union: &EventUnion) -> TokenStream {
    let (ident, es) = (&union.ident, &union.es_core);
    let variants: Vec<_> = union.members.iter().map(|member| &member.ident).collect();
    let types: Vec<_> = union.members.iter().map(|member| &member.ty).collect();
    let events: Vec<_> = types.iter().map(|ty| event(ty, es)).collect();
    let distinct = distinct(&types, &events, es);
    quote! {
        #[allow(deprecated, unused_qualifications, clippy::absolute_paths)]
        const _: () = {
            const __KINDS: &[&[#es::event::EventType]] = &[#(#events::TYPES),*];
            const __RETIRED: &[&[&str]] = &[#(#events::RETIRED),*];
            #distinct

            #[automatically_derived]
            impl #es::Event for #ident {
                const TYPES: &'static [#es::event::EventType] =
                    &#es::__private::concatenated::<
                        #es::event::EventType,
                        { #es::__private::total(__KINDS) },
                    >(__KINDS, #es::event::EventType::new("", 1));

                const RETIRED: &'static [&'static str] =
                    &#es::__private::concatenated::<
                        &str,
                        { #es::__private::total(__RETIRED) },
                    >(__RETIRED, "");

                fn event_type(&self) -> &'static #es::event::EventType {
                    match self {
                        #(Self::#variants(__event) => #events::event_type(__event),)*
                    }
                }

                fn encode(
                    &self,
                    __metadata: &mut #es::event::Metadata,
                ) -> ::core::result::Result<#es::event::Payload, #es::event::EncodeError> {
                    match self {
                        #(Self::#variants(__event) => #events::encode(__event, __metadata),)*
                    }
                }

                fn decode(
                    __stored: #es::event::StoredEvent<'_>,
                ) -> ::core::result::Result<#es::event::Decoded<Self>, #es::event::DecodeError> {
                    #(
                        if #es::__private::reads::<#types>(__stored.event_type) {
                            return ::core::result::Result::map(
                                #events::decode(__stored),
                                |__decoded| #es::event::Decoded::map(__decoded, Self::#variants),
                            );
                        }
                    )*
                    ::core::result::Result::Err(
                        #es::__private::unknown_type::<Self>(__stored.event_type),
                    )
                }
            }

            #(
                #[automatically_derived]
                impl ::core::convert::From<#types> for #ident {
                    fn from(__event: #types) -> Self {
                        Self::#variants(__event)
                    }
                }
            )*
        };
    }
}

/// The member as an event type; the span makes one that is none the place of the error.
fn event(ty: &Type, es: &CratePath) -> TokenStream {
    quote_spanned!(ty.span()=> <#ty as #es::Event>)
}

/// One assertion for each two members, which names them; their names are known there, not here.
fn distinct(types: &[&Type], events: &[TokenStream], es: &CratePath) -> TokenStream {
    let mut assertions = TokenStream::new();
    for (i, (second, b)) in types.iter().zip(events).enumerate() {
        for (first, a) in types[..i].iter().zip(events) {
            let message = format!(
                "`{}` and `{}` share a stored name, so a union cannot tell their events apart; read \
                 them by two projections",
                shown(first),
                shown(second),
            );
            let message = LitStr::new(&message, second.span());
            assertions.extend(quote_spanned! {second.span()=>
                const _: () = ::core::assert!(
                    #es::event::are_distinct(&[
                        (#a::TYPES, #a::RETIRED),
                        (#b::TYPES, #b::RETIRED),
                    ]),
                    #message,
                );
            });
        }
    }
    assertions
}

fn shown(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(' ', "")
}
