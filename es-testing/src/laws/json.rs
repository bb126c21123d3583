//! JSON that nearly fits: a document with a part replaced, removed or added.

use proptest::collection::{hash_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use serde_json::{Map, Value};

/// A change of one document.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Nothing,
    /// Something else altogether.
    Whole(Value),
    /// Another value in one of the fields.
    Field(Index, Value),
    /// One field less.
    Without(Index),
    /// One field more.
    With(String, Value),
}

impl Edit {
    /// The document after the change; what has no fields stays as it is.
    pub(super) fn of(&self, document: Value) -> Value {
        let Value::Object(mut fields) = document else {
            return match self {
                Self::Whole(value) => value.clone(),
                _ => document,
            };
        };
        match self {
            Self::Nothing => {}
            Self::Whole(value) => return value.clone(),
            Self::Field(index, value) => {
                if let Some(name) = chosen(&fields, *index) {
                    fields.insert(name, value.clone());
                }
            }
            Self::Without(index) => {
                if let Some(name) = chosen(&fields, *index) {
                    fields.remove(&name);
                }
            }
            Self::With(name, value) => {
                fields.insert(name.clone(), value.clone());
            }
        }
        Value::Object(fields)
    }
}

fn chosen(fields: &Map<String, Value>, index: Index) -> Option<String> {
    let names: Vec<_> = fields.keys().collect();
    match names.is_empty() {
        true => None,
        false => Some(names[index.index(names.len())].clone()),
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

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(".{0,8}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}
