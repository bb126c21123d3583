//! When an endpoint wants to be asked again: `Retry-After`.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, Utc};
use hyper::HeaderMap;
use hyper::header::{DATE, HeaderName, RETRY_AFTER};

/// The pause that a response asks for, in seconds or until a date.
///
/// A date is measured against the response's own, so that our clock need not be right; `now` stands
/// in for one that has none.
pub(super) fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let retry_after = text(headers, RETRY_AFTER)?;
    if let Some(pause) = seconds(retry_after) {
        return Some(pause);
    }
    let until = date(retry_after)?;
    let said = text(headers, DATE).and_then(date).unwrap_or_else(|| now.into());
    // a date that has passed asks for no pause
    Some(until.signed_duration_since(said).to_std().unwrap_or_default())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A number of seconds; some servers write fractions.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds: f64 = text.parse().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A date in any of the three forms that HTTP has had.
fn date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        // 1994-11-06 08:49:00
        asked_for(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_740))
    }

    #[test]
    fn a_number_of_seconds_is_the_pause() {
        for (text, pause) in [
            ("0", Some(Duration::ZERO)),
            ("20", Some(Duration::from_secs(20))),
            (" 20 ", Some(Duration::from_secs(20))),
            ("1.5", Some(Duration::from_millis(1500))),
            ("9".repeat(400).as_str(), Some(Duration::MAX)),
            ("-5", None),
            ("+5", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("1.2.3", None),
            ("20s", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(asked(text, None), pause, "{text:?}");
        }
        assert_eq!(asked_for(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_date_is_measured_against_the_date_of_the_answer() {
        let forms = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ];
        for until in forms {
            assert_eq!(asked(until, None), Some(Duration::from_secs(37)), "{until}");
            for said in forms {
                let said = said.replace(":37", ":07");
                assert_eq!(asked(until, Some(&said)), Some(Duration::from_secs(30)), "{until}");
            }
            let later = "Mon, 07 Nov 1994 00:00:00 GMT";
            assert_eq!(asked(until, Some(later)), Some(Duration::ZERO), "{until}");
            assert_eq!(asked(until, Some("gremlins")), Some(Duration::from_secs(37)), "{until}");
        }
        assert_eq!(asked("Sun, 99 Nov 1994 08:49:37 GMT", None), None);
    }
}
