//! How often a command is tried again, and how long it waits before.

use std::time::Duration;

/// A bound on further attempts, with delays that grow and are spread by chance.
///
/// The delay before retry `n` is a random part of `base * 2^(n-1)`, at most `longest`: with full
/// jitter, writers that met once do not meet again at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts may follow the first.
    pub retries: u32,
    /// The longest delay before the first retry.
    pub base: Duration,
    /// The longest delay before any retry.
    pub longest: Duration,
}

impl Retry {
    /// One attempt only.
    pub const NONE: Self = Self::times(0);

    /// Up to this many retries, with delays from 2 ms, at most 250 ms each.
    pub const fn times(retries: u32) -> Self {
        Self { retries, base: Duration::from_millis(2), longest: Duration::from_millis(250) }
    }

    /// The delay before retry number `retry` (from 1), where `fraction` is from 0 to 1.
    pub fn delay(&self, retry: u32, fraction: f64) -> Duration {
        let doublings = retry.saturating_sub(1).min(30);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.longest);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_scale_with_the_fraction() {
        let retry = Retry::times(9);
        let ceilings: Vec<_> = [1, 2, 3, 8, 9, u32::MAX].map(|n| retry.delay(n, 1.0)).into();
        assert_eq!(ceilings, [2, 4, 8, 250, 250, 250].map(Duration::from_millis));
        assert_eq!(retry.delay(3, 0.5), Duration::from_millis(4));
        assert_eq!(retry.delay(3, f64::INFINITY), Duration::from_millis(8));
    }
}
