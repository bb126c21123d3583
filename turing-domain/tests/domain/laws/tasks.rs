//! Events and examples of who has claimed tasks of people.

use proptest::prelude::*;
use turing_domain::{Noted, PostingEvent};

use super::shared::{CONVERSATION, RUN, conversation_ids, noted, run_ids, texts};

pub(crate) fn events() -> BoxedStrategy<PostingEvent> {
    let (conversations, runs) = (|| noted(conversation_ids()), || noted(run_ids()));
    prop_oneof![
        (noted(texts()), noted(texts()), noted(texts()), conversations(), runs()).prop_map(
            |(by, taken_from, reason, conversation_id, run_id)| PostingEvent::HumanTaskClaimed {
                by,
                taken_from,
                reason,
                conversation_id,
                run_id,
            }
        ),
        (noted(texts()), conversations(), runs()).prop_map(|(by, conversation_id, run_id)| {
            PostingEvent::HumanTaskReleased { by, conversation_id, run_id }
        }),
    ]
    .boxed()
}

pub(crate) fn examples() -> Vec<PostingEvent> {
    let noted = |text: &str| Noted(Some(text.to_owned()));
    vec![
        PostingEvent::HumanTaskClaimed {
            by: noted("anna"),
            taken_from: Noted::ABSENT,
            reason: Noted::ABSENT,
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::HumanTaskClaimed {
            by: noted("ben"),
            taken_from: noted("anna"),
            reason: noted("she is ill"),
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::HumanTaskReleased {
            by: noted("anna"),
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
    ]
}
