//! The name of what is done, so that doing it again does nothing.

use std::fmt::{self, Write};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::limits::Limits;
use crate::stream::shown;

use super::InvalidRequest;

/// A name for *what is done*, so that doing it again does nothing.
///
/// Of a decision the key alone counts: see
/// [`Decision::idempotency_key`](crate::execution::Decision::idempotency_key). What follows is what a
/// store does with an [`AppendRequest`](crate::backend::AppendRequest).
///
/// A key belongs to one whole request and is recorded under each stream that the request touches. A
/// request whose key is recorded already is answered with the first result and writes nothing,
/// provided that it asks for the same events (types and payloads, compared as JSON values) on the
/// same streams; ids, times (that of an import, too), expected versions and metadata do not count. A
/// request that differs is refused with
/// [`AppendError::KeyReused`](crate::backend::AppendError::KeyReused).
///
/// Make keys of what is done (run, posting, conversation, attempt), never of when.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// What the keys of reactions begin with, and no others.
    pub(crate) const OF_REACTIONS: &'static str = "reaction/";

    /// A key of 1 to 255 bytes without control characters, which does not begin with `reaction/`: the
    /// keys of reactions do, and [`Delivery::key`](crate::reaction::Delivery::key) is one.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Key`] or [`InvalidRequest::KeyOfReactions`] if the text breaks that rule.
    pub fn new(key: &str) -> Result<Self, InvalidRequest> {
        if key.starts_with(Self::OF_REACTIONS) {
            return Err(InvalidRequest::KeyOfReactions { key: shown(key) });
        }
        Self::of_any(key)
    }

    /// The same, of a reaction or not.
    pub(crate) fn of_any(key: &str) -> Result<Self, InvalidRequest> {
        let max = Limits::IDEMPOTENCY_KEY_BYTES;
        match is_key(key) {
            true => Ok(Self(key.into())),
            false => Err(InvalidRequest::Key { key: shown(key), max }),
        }
    }

    /// The key of a command that a client names by these bytes: `client/<command>/<sent>`, which no
    /// other command has. What is too long or no text is taken as a digest.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Key`] if nothing was sent.
    pub(crate) fn of_client(command: &str, sent: &[u8]) -> Result<Self, InvalidRequest> {
        if sent.is_empty() {
            return Self::of_any("");
        }
        if let Ok(text) = std::str::from_utf8(sent) {
            let key = format!("client/{command}/{text}");
            // with a slash in it, `a/b` and `c` would be `a` and `b/c`
            if !command.contains('/') && is_key(&key) {
                return Ok(Self(key.into()));
            }
        }
        let length = (command.len() as u64).to_be_bytes();
        let digest = Sha256::new().chain_update(length).chain_update(command).chain_update(sent);
        let mut key = "client#".to_owned();
        for byte in digest.finalize() {
            write!(key, "{byte:02x}").expect("a String takes any text");
        }
        Ok(Self(key.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True if the text can be a key.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=Limits::IDEMPOTENCY_KEY_BYTES).contains(&text.len()) && !text.contains(char::is_control)
}

impl TryFrom<&str> for IdempotencyKey {
    type Error = InvalidRequest;

    fn try_from(key: &str) -> Result<Self, InvalidRequest> {
        Self::new(key)
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidRequest;

    fn try_from(key: String) -> Result<Self, InvalidRequest> {
        Self::new(&key)
    }
}

/// As another program has it, for example.
impl TryFrom<&[u8]> for IdempotencyKey {
    type Error = InvalidRequest;

    fn try_from(key: &[u8]) -> Result<Self, InvalidRequest> {
        let invalid = |_| {
            let (key, max) = (shown(&String::from_utf8_lossy(key)), Limits::IDEMPOTENCY_KEY_BYTES);
            InvalidRequest::Key { key, max }
        };
        Self::new(std::str::from_utf8(key).map_err(invalid)?)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn only_reactions_have_their_keys() {
        let text = "reaction/fulfilment/1";
        let refusal = InvalidRequest::KeyOfReactions { key: text.to_owned() };
        assert_eq!(IdempotencyKey::new(text), Err(refusal.clone()));
        assert_eq!(IdempotencyKey::try_from(text.as_bytes()), Err(refusal));
        assert_eq!(IdempotencyKey::of_any(text).unwrap().as_str(), text);
        IdempotencyKey::new("http/reaction/fulfilment/1").expect("it begins with another word");
    }

    #[test]
    fn whatever_a_client_sends_is_a_key_of_its_command() {
        let of_client = |command: &str, sent: &[u8]| IdempotencyKey::of_client(command, sent);
        let text = |command: &str, sent: &[u8]| of_client(command, sent).unwrap().to_string();
        assert_eq!(text("pay", b"k-1"), "client/pay/k-1");
        assert_eq!(text("pay", b"reaction/fulfilment/1"), "client/pay/reaction/fulfilment/1");
        assert!(matches!(of_client("pay", b""), Err(InvalidRequest::Key { .. })));
        // a stored form: it is found again for ever
        let digest = "client#4bfbc39d8b76b5097783e0d040f17cfbdcb5f8909c05df4a1c9f8c54dbea8a41";
        assert_eq!(text("pay", b"\xff"), digest);

        let long = [b'k'; 10_000];
        let sent: [&[u8]; 8] =
            [b"k-1", b"\xff", b"\xfe", b"a\nb", b"/", b"c", &long, &long[..9_999]];
        let commands = ["pay", "place", "", "a", "a/b", "pay\n"];
        let keys = commands.iter().flat_map(|command| sent.map(|sent| text(command, sent)));
        let keys: HashSet<_> = keys.collect();
        assert_eq!(keys.len(), commands.len() * sent.len(), "no two are one");
        assert!(keys.iter().all(|key| IdempotencyKey::new(key).is_ok()), "{keys:?}");
        assert_ne!(text("a", b"b/c"), text("a/b", b"c"));
    }
}
