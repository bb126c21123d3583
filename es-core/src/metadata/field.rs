//! The fields that a domain declares.

use std::fmt;
use std::marker::PhantomData;

/// A field of the [metadata](crate::event::Metadata) that a domain declares: its stored name, and
/// the type of its value. Declare it as a constant, once.
///
/// The names of the library's own fields are refused; in a constant, by the compiler:
///
/// ```compile_fail
/// # use es_core::event::MetadataField;
/// const CAUSE: MetadataField<String> = MetadataField::new("causation_id");
/// ```
pub struct MetadataField<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> MetadataField<T> {
    /// The field with this stored name.
    ///
    /// # Panics
    ///
    /// If it is the name of a standard field: `causation_id`, `correlation_id`, `event_version`.
    pub const fn new(name: &'static str) -> Self {
        assert!(
            !matches!(name.as_bytes(), b"causation_id" | b"correlation_id" | b"event_version"),
            "this is the name of a standard field; set that, or choose another name"
        );
        Self { name, of: PhantomData }
    }

    /// The stored name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<T> Clone for MetadataField<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MetadataField<T> {}

impl<T> fmt::Debug for MetadataField<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MetadataField").field(&self.name).finish()
    }
}
