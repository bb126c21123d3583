//! How far the log can be read without ever missing an event: what one look must remember for the
//! next one, and whether the log is still the one that was read before.
//!
//! The rule itself is in `migrations/0010_look.sql` and `0016_look_in_one_history.sql`.

use es_core::backend::{StoreError, StoreErrorKind};
use uuid::Uuid;

use crate::row::position;

/// What one look at the database tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether the newest event that was seen before, and the highest that was visible, are still
    /// where they were.
    pub(crate) is_same: bool,
    /// The highest position that had been drawn.
    pub(crate) drawn: i64,
    /// The highest position that is known to have been visible before the holders were looked up.
    pub(crate) visible: i64,
    /// The event at `visible`.
    pub(crate) visible_id: Option<Uuid>,
    /// The transactions that hold the lock of a writer on the table of events.
    pub(crate) holders: Vec<String>,
    /// For each of them a position below everything that it has drawn and not decided.
    pub(crate) lows: Vec<i64>,
    /// The frontier that is written down is of no event of this log.
    pub(crate) is_watermark_wrong: bool,
    /// The newest event that can be seen with everything before it, and its position; 0 for none.
    pub(crate) newest: i64,
    pub(crate) newest_id: Option<Uuid>,
    /// The highest position that was drawn by now.
    pub(crate) drawn_since: i64,
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontier {
    pub(crate) position: i64,
    /// The event at `position`.
    pub(crate) event_id: Option<Uuid>,
    /// What was visible at the look before, and the event there.
    pub(crate) visible: i64,
    pub(crate) visible_id: Option<Uuid>,
    pub(crate) holders: Vec<String>,
    pub(crate) lows: Vec<i64>,
    /// The highest position that had been drawn.
    drawn: i64,
    is_behind: bool,
}

/// Why the log cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Divergence {
    /// The newest event that was seen is not at its place any more.
    OtherHistory { position: i64 },
    /// Positions are given again that were given already.
    SequenceBehind { position: i64, drawn: i64 },
}

impl Divergence {
    /// As the store tells it, for ever.
    pub(crate) fn told(self, place: &str) -> StoreError {
        let text = match self {
            Self::OtherHistory { position: seen } => format!(
                "the event at {} that was seen in {place} is there no more: the log went back or is \
                 another one now, as after the restoring of a backup or a failover that lost commits; \
                 open the store again, and rebuild what was derived from its events",
                position(seen)
            ),
            Self::SequenceBehind { position: seen, drawn } => format!(
                "the log in {place} was read up to {} and its sequence stands at {drawn}, so that new \
                 events would come before ones that were read; set the sequence of the column position \
                 with setval() to its highest value, open the store again, and check what was derived \
                 from its events",
                position(seen)
            ),
        };
        StoreError::new(StoreErrorKind::Diverged, text)
    }
}

impl Frontier {
    /// Everything at or below it is there to be seen, or never will be.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The newest event that was seen with everything before it.
    pub(crate) fn newest(&self) -> Option<(i64, Uuid)> {
        self.event_id.map(|event_id| (self.position, event_id))
    }

    /// True if something was drawn during the look; or somebody holds the lock; or has let it go
    /// during the look, which then saw no further than before, whether the look before had met the
    /// holder or what it drew was new: the frontier is about to move.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Takes a look into account. Pages may be read up to the position by any later statement.
    pub(crate) fn observe(&mut self, look: Look) -> Result<i64, Divergence> {
        let position = self.position;
        if !look.is_same || look.newest < position {
            return Err(Divergence::OtherHistory { position });
        }
        // also what was visible and not to be read yet must not be given again
        if look.drawn_since < self.visible.max(look.visible) {
            return Err(Divergence::SequenceBehind {
                position: look.newest,
                drawn: look.drawn_since,
            });
        }
        let is_news = !self.holders.is_empty() || look.drawn > self.drawn;
        let was_held = is_news && look.newest < look.drawn;
        self.is_behind = look.drawn_since > look.drawn || !look.holders.is_empty() || was_held;
        self.drawn = look.drawn;
        self.position = look.newest;
        self.event_id = look.newest_id;
        self.visible = look.visible;
        self.visible_id = look.visible_id;
        self.holders = look.holders;
        self.lows = look.lows;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(newest: i64, drawn: i64) -> Look {
        Look {
            is_same: true,
            drawn,
            visible: newest,
            visible_id: (newest > 0).then(Uuid::nil),
            holders: Vec::new(),
            lows: Vec::new(),
            is_watermark_wrong: false,
            newest,
            newest_id: (newest > 0).then(Uuid::nil),
            drawn_since: drawn,
        }
    }

    #[test]
    fn what_is_about_to_move_is_behind() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(7, 9)), Ok(7));
        assert!(frontier.is_behind(), "who drew 8 and 9 may have ended after it was looked");
        assert_eq!(frontier.observe(look(7, 9)), Ok(7));
        assert!(!frontier.is_behind(), "8 and 9 were given up");
        let held = Look { holders: vec!["3/1".to_owned()], lows: vec![9], ..look(7, 12) };
        assert_eq!(frontier.observe(held), Ok(7));
        assert!(frontier.is_behind());
        assert_eq!(frontier.observe(look(7, 12)), Ok(7));
        assert!(frontier.is_behind(), "whoever held it back may have ended after it was bounded");
        assert_eq!(frontier.observe(look(7, 12)), Ok(7));
        assert!(!frontier.is_behind(), "8 to 12 were given up");
        assert_eq!(frontier.observe(Look { drawn_since: 13, ..look(12, 12) }), Ok(12));
        assert!(frontier.is_behind());
    }

    #[test]
    fn a_log_that_is_another_is_noticed() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(9, 9)), Ok(9));
        let other = Err(Divergence::OtherHistory { position: 9 });
        assert_eq!(frontier.clone().observe(look(4, 4)), other);
        assert_eq!(frontier.clone().observe(Look { is_same: false, ..look(12, 12) }), other);
        let behind = Err(Divergence::SequenceBehind { position: 9, drawn: 5 });
        assert_eq!(frontier.clone().observe(look(9, 5)), behind);
        let held = Look {
            visible: 30,
            visible_id: Some(Uuid::nil()),
            holders: vec!["3/1".to_owned()],
            lows: vec![9],
            ..look(9, 30)
        };
        assert_eq!(frontier.observe(held), Ok(9));
        let behind = Err(Divergence::SequenceBehind { position: 9, drawn: 20 });
        assert_eq!(frontier.observe(look(9, 20)), behind, "10 to 30 would be given again");
    }

    /// A function of the database, which programs of before call, and statements of this program.
    #[test]
    fn everybody_knows_a_writer_by_the_same_locks() {
        let modes = [
            include_str!("../migrations/0010_look.sql"),
            include_str!("sql/blockers.sql"),
            include_str!("sql/inline_writers.sql"),
        ]
        .map(|text| {
            let (_, rest) = text.split_once("mode IN (").expect("it lists the modes");
            let (list, _) = rest.split_once(')').expect("the list ends");
            list.split_whitespace().collect::<Vec<_>>()
        });
        assert_eq!(modes[0].len(), 4);
        assert!(modes.iter().all(|list| *list == modes[0]), "{modes:?}");
    }
}
