//! Points in time with the precision that every backend can keep.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

/// A point in time in microseconds, in UTC.
///
/// Microseconds are what `timestamptz` keeps; a finer type would return other values from one
/// backend than from another. Time is data, never order: order is the stream version and the
/// position.
///
/// The text form is RFC 3339 with six digits of fraction and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The first instant of the year 0000 and the last microsecond of the year 9999: the range
    /// that RFC 3339 can write and that every backend can store.
    const RANGE: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

    /// A timestamp from microseconds since the Unix epoch; values outside the years 0000 to 9999
    /// are moved to the nearest end.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(*Self::RANGE.start(), *Self::RANGE.end()))
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `delta`, forwards; saturates at the end of the year 9999.
    #[must_use]
    pub fn plus(self, delta: std::time::Duration) -> Self {
        let micros = i64::try_from(delta.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        let micros = self.0.saturating_sub(earlier.0);
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts nanoseconds off.
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_micros(time.timestamp_micros())
    }
}

impl From<std::time::SystemTime> for Timestamp {
    /// Cuts nanoseconds off.
    fn from(time: std::time::SystemTime) -> Self {
        Self::from(DateTime::<Utc>::from(time))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        DateTime::from_timestamp_micros(time.0)
            .expect("a Timestamp is within the years 0000 to 9999")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from(*self);
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// A text that is no RFC 3339 date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no point in time; write it like 2026-11-23T10:00:00Z")]
pub struct TimestampError {
    text: String,
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = in_the_text_form(text) {
            return Ok(time);
        }
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::from(time.with_timezone(&Utc)))
            .map_err(|_| TimestampError { text: crate::stream::shown(text) })
    }
}

/// The time, if it is written as [`Timestamp`] writes it, or with a space for the `T`: a store may have
/// one beside every event, and RFC 3339 with all its liberties takes longer to read.
fn in_the_text_form(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let signs = [4, 7, 10, 13, 16, 19, 26].map(|at| bytes[at]);
    if !matches!(&signs, b"--T::.Z" | b"-- ::.Z") {
        return None;
    }
    let number = |digits: Range<usize>| {
        bytes[digits].iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let year = i32::try_from(number(0..4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)?;
    let [hour, minute, second] = [number(11..13)?, number(14..16)?, number(17..19)?];
    let time = date.and_hms_micro_opt(hour, minute, second, number(20..26)?)?;
    Some(time.and_utc().into())
}

crate::text::as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_keeps_microseconds() {
        let time = Timestamp::from_micros(1_764_000_000_123_456);
        assert_eq!(time.to_string(), "2025-11-24T16:00:00.123456Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn the_text_form_is_read_as_rfc_3339() {
        let by_rfc_3339 = |text: &str| -> Option<Timestamp> {
            DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc().into())
        };
        for text in [
            "0000-01-01T00:00:00.000000Z",
            "1969-12-31 23:59:59.999999Z",
            "2024-02-29T12:34:56.000001Z",
            "9999-12-31 23:59:59.999999Z",
        ] {
            assert!(in_the_text_form(text).is_some(), "{text}");
            assert_eq!(in_the_text_form(text), by_rfc_3339(text), "{text}");
        }
        for text in [
            "2025-02-29T12:34:56.000001Z",
            "2025-13-01T12:34:56.000001Z",
            "2025-11-19T24:00:00.000000Z",
            "2016-12-31T23:59:60.000000Z",
            "2025-11-19t10:00:00.000000z",
            "+025-11-19T10:00:00.000000Z",
            "2025-11-19T10:00:00.00000é",
            "2025-11-19T10:00:00Z",
            "2025-11-19T10:00:00.1234567Z",
        ] {
            assert_eq!(in_the_text_form(text), None, "{text}");
            let time: Option<Timestamp> = text.parse().ok();
            assert_eq!(time, by_rfc_3339(text), "{text}");
        }
    }

    #[test]
    fn extremes_are_moved_into_the_range_and_still_print() {
        for micros in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn an_offset_is_converted_to_utc() {
        let time: Timestamp = "2025-11-19T10:00:00+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2025-11-19T09:00:00.000000Z");
    }

    #[test]
    fn bad_text_is_named() {
        let error = "yesterday".parse::<Timestamp>().unwrap_err();
        assert!(error.to_string().contains("yesterday"));
    }
}
