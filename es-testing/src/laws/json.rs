//! JSON that nearly fits: a document with a part replaced, removed or added.

use es_core::event::{Fields, Payload};
use proptest::collection::{hash_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use serde_json::Value;

/// A change of one document.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Nothing,
    /// Something else altogether.
    Whole(Payload),
    /// Another value in one of the fields.
    Field(Index, Payload),
    /// One field less.
    Without(Index),
    /// One field more.
    With(String, Payload),
}

impl Edit {
    /// The document after the change; what has no fields stays as it is.
    pub(super) fn of(&self, document: &Payload) -> Payload {
        if let Self::Whole(value) = self {
            return value.clone();
        }
        let Ok(mut fields) = Fields::of(document) else { return document.clone() };
        match self {
            Self::Nothing | Self::Whole(_) => return document.clone(),
            Self::Field(index, value) => {
                if let Some(name) = chosen(&fields, *index) {
                    fields.insert(&name, value);
                }
            }
            Self::Without(index) => {
                if let Some(name) = chosen(&fields, *index) {
                    fields.remove(&name);
                }
            }
            Self::With(name, value) => fields.insert(name, value),
        }
        fields.into_payload().expect("each field is JSON")
    }
}

fn chosen(fields: &Fields, index: Index) -> Option<String> {
    let names: Vec<_> = fields.names().collect();
    match names.is_empty() {
        true => None,
        false => Some(names[index.index(names.len())].to_owned()),
    }
}

pub(super) fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        Just(Edit::Nothing),
        any_json().prop_map(Edit::Whole),
        (any::<Index>(), any_json()).prop_map(|(index, value)| Edit::Field(index, value)),
        any::<Index>().prop_map(Edit::Without),
        (".{0,8}", any_json()).prop_map(|(name, value)| Edit::With(name, value)),
    ]
}

fn of<T: Into<Value>>(value: T) -> Payload {
    value.into().into()
}

fn any_json() -> impl Strategy<Value = Payload> {
    let leaf = prop_oneof![
        Just(Value::Null).prop_map(of),
        any::<bool>().prop_map(of),
        any::<i64>().prop_map(of),
        any::<u64>().prop_map(of),
        any::<f64>().prop_map(of),
        // beyond what a double holds, in its digits and in its size
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?(e-?[1-9][0-9]{0,2})?"
            .prop_map(|number| Payload::parse(number).expect("the pattern is a number")),
        ".{0,8}".prop_map(of),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4)
                .prop_map(|items| Payload::of(&items).expect("the parts are JSON")),
            hash_map(".{0,8}", inner, 0..4)
                .prop_map(|fields| Payload::of(&fields).expect("the parts are JSON")),
        ]
    })
}
