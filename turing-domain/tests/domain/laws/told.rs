//! What endpoints of language models report.

use proptest::prelude::*;
use turing_domain::Noted;

use super::shared::{noted, texts};

/// What an endpoint reported beside a text or a failure.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) finish_reason: Noted<String>,
    pub(crate) request_id: Noted<String>,
    pub(crate) cached_tokens: Noted<u64>,
    pub(crate) reasoning_tokens: Noted<u64>,
    pub(crate) first_token_ms: Noted<u64>,
}

impl Told {
    pub(crate) const NOTHING: Self = Self {
        finish_reason: Noted::ABSENT,
        request_id: Noted::ABSENT,
        cached_tokens: Noted::ABSENT,
        reasoning_tokens: Noted::ABSENT,
        first_token_ms: Noted::ABSENT,
    };

    pub(crate) fn any() -> BoxedStrategy<Self> {
        let counts = || noted(any::<u64>());
        (noted(texts()), noted(texts()), counts(), counts(), counts())
            .prop_map(|(finish_reason, request_id, cached_tokens, reasoning_tokens, first)| Self {
                finish_reason,
                request_id,
                cached_tokens,
                reasoning_tokens,
                first_token_ms: first,
            })
            .boxed()
    }

    pub(crate) fn example(finish_reason: &str, request_id: &str) -> Self {
        Self {
            finish_reason: finish_reason.to_owned().into(),
            request_id: request_id.to_owned().into(),
            cached_tokens: 896.into(),
            reasoning_tokens: 200.into(),
            first_token_ms: 180.into(),
        }
    }
}
