//! When a wave may begin and end.

use crate::conversation::command::WaveCompletion;
use crate::conversation::event::ConversationEvent;
use crate::conversation::rejection::ConversationRejection;
use crate::conversation::state::ConversationWaves;
use crate::duration::milliseconds;
use crate::ids::{ConversationId, RunId};

impl ConversationWaves {
    /// Begins a wave. Nothing happens while a wave of the same run is open: that one goes on.
    pub fn start_wave(
        &self,
        conversation_id: ConversationId,
        run_id: RunId,
        posting_count: u32,
    ) -> Vec<ConversationEvent> {
        if self.open_wave(run_id).is_some() {
            return Vec::new();
        }
        vec![ConversationEvent::ConversationStarted {
            run_id: run_id.into(),
            wave: self.wave_count().saturating_add(1).into(),
            posting_count: posting_count.into(),
            conversation_id: conversation_id.into(),
        }]
    }

    /// Ends the open wave of a run. Nothing happens if that wave was the last to complete.
    ///
    /// # Errors
    ///
    /// When there is none, or the counts contradict each other.
    pub fn complete_wave(
        &self,
        completion: &WaveCompletion,
    ) -> Result<Vec<ConversationEvent>, ConversationRejection> {
        let &WaveCompletion { run_id, processed_count, failed_count, .. } = completion;
        let Some(wave) = self.open_wave(run_id) else {
            return match self.completed_last() == Some(run_id) {
                true => Ok(Vec::new()),
                false => Err(ConversationRejection::NoOpenWave { run_id }),
            };
        };
        if failed_count > processed_count {
            return Err(ConversationRejection::DoesNotAddUp { processed_count, failed_count });
        }
        Ok(vec![ConversationEvent::ConversationCompleted {
            run_id: run_id.into(),
            wave: wave.number.into(),
            processed_count: processed_count.into(),
            failed_count: failed_count.into(),
            conversation_id: completion.conversation_id.into(),
            duration_ms: completion.duration.map(milliseconds).into(),
        }])
    }
}
