//! Many durations in little room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{count, sum};

/// A distribution of durations, of which percentiles are known to within one per cent.
///
/// Durations are counted in buckets, each of which ends 2 % later than the one before (the sketch of
/// Masson, Rim and Lee, "DDSketch", VLDB 2019, with a relative accuracy of 0.01), so that a row that
/// is updated for ever stays small: milliseconds to a day are 923 buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(BTreeMap<i32, u64>);

impl Durations {
    /// Where a bucket ends, as a multiple of where the one before does.
    const GROWTH: f64 = 1.02;

    /// The bucket of zero, which no other can hold.
    const ZERO: i32 = -1;

    /// Counts one duration, in milliseconds.
    pub fn add(&mut self, millis: u64) {
        let bucket = match millis {
            0 => Self::ZERO,
            // the logarithm of a number of 64 bits is below 2,241
            _ => ((millis as f64).ln() / Self::GROWTH.ln()).ceil() as i32,
        };
        count(self.0.entry(bucket).or_default());
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        sum(self.0.values())
    }

    /// The duration that `percent` of 100 do not exceed, in milliseconds, by nearest rank and to
    /// within one per cent; `None` if nothing was counted.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = u128::from(self.count()).saturating_mul(percent.into()).div_ceil(100).max(1);
        let mut passed = 0u128;
        let bucket = self.0.iter().find(|(_, count)| {
            passed = passed.saturating_add((**count).into());
            passed >= rank
        });
        bucket.map(|(bucket, _)| match *bucket {
            Self::ZERO => 0,
            bucket => {
                let middle = 2.0 * Self::GROWTH.powi(bucket) / (Self::GROWTH + 1.0);
                middle.round() as u64
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_percentile_and_zero_is_zero() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(50), None);
        durations.add(0);
        assert_eq!((durations.percentile(0), durations.percentile(100)), (Some(0), Some(0)));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_per_cent(
            mut values in prop::collection::vec(0_u64..100_000_000, 1..200),
            percent in 0_u64..=100,
        ) {
            let mut durations = Durations::default();
            values.iter().for_each(|value| durations.add(*value));
            values.sort_unstable();
            let rank = (values.len() as u64 * percent).div_ceil(100).max(1) as usize;
            let exact = values[rank - 1] as f64;
            let told = durations.percentile(percent).unwrap() as f64;
            // half a millisecond is lost by rounding
            prop_assert!((told - exact).abs() <= exact * 0.01 + 0.5, "{told} for {exact}");
        }
    }
}
