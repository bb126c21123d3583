//! The text format of Prometheus, version 0.0.4: families of series, each written once.

use std::fmt::{Display, Write};
use std::time::Duration;

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label of a series: its name, and what it says.
pub(super) type Label<'a> = (&'static str, &'a str);

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// The series of one name, which are written one after the other.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Page {
    /// Begins a family. The help is one line without a backslash.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
        Family { page: self, name }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn write(&mut self, text: impl Display) {
        // a String takes whatever is written into it
        let _ = write!(self.0, "{text}");
    }

    fn series(&mut self, name: &str, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        for (number, (label, said)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{label}=\"{}\"", escaped(said)));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }
}

impl Family<'_> {
    /// One series.
    pub(super) fn value(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.page.series(self.name, "", labels, value);
    }

    /// The series of one histogram.
    pub(super) fn histogram(&mut self, labels: &[Label<'_>], histogram: &Histogram) {
        let Self { page, name } = self;
        let mut below = 0_u64;
        for (bound, count) in BOUNDS.iter().zip(&histogram.buckets) {
            below += count;
            let bound = bound.to_string();
            page.series(name, "_bucket", &[labels, &[("le", bound.as_str())]].concat(), below);
        }
        let count = histogram.count;
        page.series(name, "_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        page.series(name, "_sum", labels, histogram.sum.as_secs_f64());
        page.series(name, "_count", labels, count);
    }
}

/// What a label says, as it stands between its quotation marks.
fn escaped(said: &str) -> String {
    let mut text = String::with_capacity(said.len());
    for c in said.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}

/// The upper ends of the buckets of durations, in seconds: from a small script to a model that thinks
/// for long.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// How often durations lay where.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// How many lay in each bucket, and not in the one before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_help_its_type_and_its_series() {
        let mut page = Page::default();
        let mut family = page.family(Kind::Counter, "calls_total", "Calls.");
        family.value(&[("actor", "a \"b\" \\ c\nd"), ("kind", "script")], 3);
        family.value(&[], 4);
        page.family(Kind::Gauge, "age_seconds", "Age.").value(&[], 0.5);
        let text = "# HELP calls_total Calls.\n# TYPE calls_total counter\n\
                    calls_total{actor=\"a \\\"b\\\" \\\\ c\\nd\",kind=\"script\"} 3\ncalls_total 4\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 0.5\n";
        assert_eq!(page.into_text(), text);
    }

    #[test]
    fn a_bucket_counts_all_that_took_no_longer() {
        let mut histogram = Histogram::default();
        for milliseconds in [0, 5, 6, 300_000, 300_001] {
            histogram.add(Duration::from_millis(milliseconds));
        }
        let mut page = Page::default();
        page.family(Kind::Histogram, "took_seconds", "Took.")
            .histogram(&[("actor", "a")], &histogram);
        let text = page.into_text();
        for line in [
            "took_seconds_bucket{actor=\"a\",le=\"0.005\"} 2",
            "took_seconds_bucket{actor=\"a\",le=\"0.01\"} 3",
            "took_seconds_bucket{actor=\"a\",le=\"1\"} 3",
            "took_seconds_bucket{actor=\"a\",le=\"300\"} 4",
            "took_seconds_bucket{actor=\"a\",le=\"+Inf\"} 5",
            "took_seconds_sum{actor=\"a\"} 600.012",
            "took_seconds_count{actor=\"a\"} 5",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
