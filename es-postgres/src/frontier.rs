//! How far the log can be read without ever missing an event.
//!
//! An INSERT locks the table of events before it draws a position and keeps the lock until its
//! transaction has ended; a commit shows its rows before it lets the lock go. So of everything up
//! to the highest visible position, undecided can only be what a holder of the lock has drawn. And
//! a holder that was not there at the look before has drawn nothing below what was visible then,
//! because the values of a sequence grow.

use std::collections::HashMap;

/// What one look at the database tells, looked up in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The highest visible position.
    pub(crate) visible: i64,
    /// The transactions that hold the lock of a writer on the table of events.
    pub(crate) holders: Vec<String>,
    /// A frontier that some process has seen before.
    pub(crate) watermark: i64,
    /// The highest visible position by now.
    pub(crate) newest: i64,
}

/// Counts, from look to look, what holders may have drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontier {
    position: i64,
    /// What was visible at the look before, and at its end.
    visible: i64,
    newest: i64,
    /// For each holder a position below everything that it has drawn and not decided.
    lows: HashMap<String, i64>,
}

/// The log ends before a place that was read already, as after the restoring of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WentBack {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Frontier {
    /// Everything at or below it is there to be seen, or never will be.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// True if something above the frontier is visible, or somebody holds the lock: then the
    /// frontier is about to move.
    pub(crate) fn is_behind(&self) -> bool {
        self.newest > self.position || !self.lows.is_empty()
    }

    /// Takes a look into account. Pages may be read up to the position by any later statement.
    pub(crate) fn observe(&mut self, look: Look) -> Result<i64, WentBack> {
        let Look { visible, holders, watermark, newest } = look;
        if visible < self.position {
            return Err(WentBack { from: self.position, to: visible });
        }
        // what is below a frontier is decided, whoever has seen it
        self.position = self.position.max(watermark);
        let before = self.visible.max(watermark);
        let lowest = self.lows.values().copied().min();
        let mut lows = HashMap::with_capacity(holders.len());
        for holder in holders {
            let low = match self.lows.get(&holder) {
                Some(low) => *low,
                // a prepared transaction after a restart of the server, which gave it another name
                None if holder.starts_with("-1/") => before.min(lowest.unwrap_or(before)),
                None => before,
            };
            lows.insert(holder, low);
        }
        let bound = lows.values().copied().min().unwrap_or(visible).min(visible);
        self.position = self.position.max(bound);
        self.visible = visible;
        self.newest = newest;
        self.lows = lows;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(visible: i64, holders: &[&str]) -> Look {
        let holders = holders.iter().map(|&holder| holder.to_owned()).collect();
        Look { visible, holders, watermark: 0, newest: visible }
    }

    #[test]
    fn without_writers_everything_visible_can_be_read() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(7, &[])), Ok(7));
        assert!(!frontier.is_behind());
    }

    #[test]
    fn a_writer_holds_back_what_it_may_have_drawn_and_nothing_else() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(5, &[])), Ok(5));
        // it may have drawn 6 before somebody else committed 9
        assert_eq!(frontier.observe(look(9, &["3/1"])), Ok(5));
        // it stays where it was first seen, and a newer one cannot be below 9
        assert_eq!(frontier.observe(look(12, &["3/1", "4/1"])), Ok(5));
        assert_eq!(frontier.observe(look(12, &["4/1"])), Ok(9));
        assert!(frontier.is_behind());
        assert_eq!(frontier.observe(look(12, &[])), Ok(12));
    }

    #[test]
    fn who_writes_at_the_first_look_holds_back_everything_but_the_watermark() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(9, &["3/1"])), Ok(0));
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(Look { watermark: 8, ..look(9, &["3/1"]) }), Ok(8));
    }

    #[test]
    fn what_was_committed_during_a_look_is_looked_for_at_once() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(Look { newest: 8, ..look(7, &[]) }), Ok(7));
        assert!(frontier.is_behind());
        assert_eq!(frontier.observe(look(8, &[])), Ok(8));
        assert!(!frontier.is_behind());
    }

    #[test]
    fn a_prepared_transaction_keeps_its_bound_under_another_name() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(5, &[])), Ok(5));
        assert_eq!(frontier.observe(look(9, &["3/1"])), Ok(5));
        assert_eq!(frontier.observe(look(9, &["-1/771"])), Ok(5));
        assert_eq!(frontier.observe(look(12, &["-1/771"])), Ok(5));
        assert_eq!(frontier.observe(look(12, &[])), Ok(12));
    }

    #[test]
    fn a_log_that_went_back_is_noticed() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.observe(look(9, &[])), Ok(9));
        assert_eq!(frontier.observe(look(4, &[])), Err(WentBack { from: 9, to: 4 }));
    }
}
