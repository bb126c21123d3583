//! What is too much for one append, the same on every backend.

/// Upper bounds of what one append may carry; every backend refuses more before it writes anything.
///
/// The defaults fit PostgreSQL's `jsonb` and a page of memory budget: raise them only for a store
/// whose readers can afford it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Events in one append, over all its streams; never more than
    /// [`APPEND_EVENTS`](Self::APPEND_EVENTS).
    pub events: usize,
    /// Bytes of one event's payload as it is stored: in the
    /// [canonical](crate::event::Payload::canonical) form.
    pub payload_bytes: usize,
    /// Bytes of one event's metadata, counted so, too.
    pub metadata_bytes: usize,
    /// Bytes of all payloads and metadata of one append, counted so, too.
    pub append_bytes: usize,
    /// Nesting of arrays and objects in a payload or metadata; the outermost value counts 1.
    pub depth: usize,
}

impl Limits {
    /// The most events of one append, whatever the limits say: so much is read when a key is looked
    /// up, and a key that names more was written by hand.
    pub const APPEND_EVENTS: usize = 100_000;
    /// The most bytes of a kept state and of a row of a model, in the canonical form: as many as one
    /// append may have. One limit, as a row may be the state that is kept elsewhere.
    pub const STATE_BYTES: usize = 64 * 1024 * 1024;
    /// The longest aggregate type, in bytes.
    pub const AGGREGATE_TYPE_BYTES: usize = 64;
    /// The longest aggregate id, in bytes.
    pub const AGGREGATE_ID_BYTES: usize = 255;
    /// The metadata fields that the specified table has an index on, by their stored names.
    pub const INDEXED_METADATA: &'static [&'static str] = &["conversation_id"];
    /// The longest value of such a field as JSON, in bytes: PostgreSQL's index takes no more than
    /// about 2,700.
    pub const INDEXED_BYTES: usize = 1_000;
    /// The longest event type, in bytes.
    pub const EVENT_TYPE_BYTES: usize = 100;
    /// The longest idempotency key, in bytes.
    pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
    /// The largest power of ten in a number, either way: that of the smallest double. Larger ones
    /// make some databases write the number out, digit by digit.
    pub const EXPONENT: u32 = 324;
    /// The longest number, in bytes without its sign. A double written out to its last digit takes
    /// at most 1,076; some databases keep only so many digits.
    pub const NUMBER_BYTES: usize = 1_100;
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            events: 1_000,
            payload_bytes: 16 * MIB,
            metadata_bytes: 64 * 1024,
            append_bytes: Self::STATE_BYTES,
            depth: 64,
        }
    }
}
