//! Numbers that are no numbers: JSON has neither NaN nor the infinities.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Error;

/// Fails if a number anywhere in `value` is not finite: serde_json writes `null` for it.
pub(crate) fn check_finite<T: Serialize + ?Sized>(value: &T) -> Result<(), Error> {
    value.serialize(Walk)
}

/// Goes through a value and writes nothing.
#[derive(Clone, Copy)]
struct Walk;

fn finite(number: f64) -> Result<(), Error> {
    match number.is_finite() {
        true => Ok(()),
        false => Err(Error::custom(format_args!(
            "{number} is no number of JSON; leave it out or store it as a string"
        ))),
    }
}

/// What is written without looking at it.
macro_rules! pass {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, _: $type) -> Result<(), Error> {
            Ok(())
        })*
    };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    pass! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str
    }

    fn serialize_f32(self, number: f32) -> Result<(), Error> {
        finite(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Error> {
        finite(number)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, _: &T) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        Ok(self)
    }
}

impl SerializeMap for Walk {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(*self)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

/// A list of values that are gone through one by one.
macro_rules! list {
    ($($trait:ident $method:ident),*) => {
        $(impl $trait for Walk {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}

list! {
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
}

/// Named fields that are gone through one by one.
macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl $trait for Walk {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use crate::payload::Payload;

    #[derive(Serialize)]
    enum Any {
        Unit,
        New(Option<f64>),
        Tuple(u8, f32),
        Struct { deep: Vec<(String, BTreeMap<i8, f64>)> },
    }

    #[test]
    fn what_is_not_finite_is_refused_wherever_it_stands() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let maps = |number| vec![("x".to_owned(), BTreeMap::from([(1, 2.0), (2, number)]))];
            assert!(Payload::of(&number).is_err());
            assert!(Payload::of(&(number as f32)).is_err());
            assert!(Payload::of(&[Some(1.0), None, Some(number)]).is_err());
            assert!(Payload::of(&Any::New(Some(number))).is_err());
            assert!(Payload::of(&Any::Tuple(1, number as f32)).is_err());
            assert!(Payload::of(&Any::Struct { deep: maps(number) }).is_err());
            assert!(Payload::of(&Any::Struct { deep: maps(1.0) }).is_ok());
        }
        for value in [Any::Unit, Any::New(None), Any::New(Some(f64::MAX)), Any::Tuple(1, -0.0)] {
            assert!(Payload::of(&value).is_ok());
        }
        assert!(Payload::of(&(None::<f64>, "null", f64::MIN_POSITIVE)).is_ok());
    }
}
