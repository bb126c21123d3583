//! Somebody who scrapes metrics, and takes no page for one that is not well formed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::process::Told;

/// Where a call serves metrics, as it tells.
#[track_caller]
pub(super) fn address_of(told: &mut Told) -> String {
    let text = told.up_to("metrics are at http://");
    let (_, address) = text.rsplit_once("http://").unwrap();
    address.trim_end().strip_suffix("/metrics").unwrap().to_owned()
}

/// What is answered to a request, which is sent as it stands.
pub(super) fn ask(address: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    answer(&mut connection)
}

/// What is answered, up to its end.
pub(super) fn answer(connection: &mut TcpStream) -> String {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

/// The request of a scrape.
pub(super) fn request(address: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// The metrics as they are now.
#[track_caller]
pub(super) fn scrape(address: &str) -> Page {
    let answer = ask(address, &request(address));
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{answer}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    Page::read(text)
}

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
    /// The kind of each family.
    pub(super) kinds: BTreeMap<String, String>,
    series: BTreeMap<Series, f64>,
}

/// The name of a series, and its labels.
type Series = (String, BTreeMap<String, String>);

impl Page {
    /// Reads a page, of which every line must be what the format allows.
    #[track_caller]
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self { text: text.to_owned(), ..Self::default() };
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut lines, mut family) = (text.lines(), String::new());
        while let Some(line) = lines.next() {
            match line.strip_prefix("# HELP ") {
                Some(help) => {
                    let (name, help) = help.split_once(' ').unwrap();
                    assert!(!help.is_empty() && is_name(name), "{line}");
                    let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                    let (of, kind) = kind.and_then(|kind| kind.split_once(' ')).unwrap();
                    assert_eq!(of, name, "a type of something else");
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                    assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
                    let before = page.kinds.insert(name.to_owned(), kind.to_owned());
                    assert_eq!(before, None, "{name} stands twice");
                    name.clone_into(&mut family);
                }
                None => page.take(line, &family),
            }
        }
        page.check_histograms();
        page
    }

    #[track_caller]
    fn take(&mut self, line: &str, family: &str) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
        let suffixes: &[&str] = match self.kinds[family].as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line} in {family}");
        let mut labels = BTreeMap::<String, String>::new();
        while let Some(label) = rest.strip_prefix(if labels.is_empty() { '{' } else { ',' }) {
            let (name, value) = label.split_once("=\"").unwrap();
            assert!(is_name(name), "{line}");
            let (value, behind) = unescaped(value);
            assert_eq!(labels.insert(name.to_owned(), value), None, "{line}");
            rest = behind;
        }
        if !labels.is_empty() {
            rest = rest.strip_prefix('}').unwrap();
        }
        let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let before = self.series.insert((name.to_owned(), labels), value);
        assert_eq!(before, None, "twice: {line}");
    }

    /// What lies below a higher bound is no less, and below none it is all.
    fn check_histograms(&self) {
        for (family, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            for ((_, labels), count) in self.all(&format!("{family}_count")) {
                let mut buckets = Vec::new();
                for ((_, of_bucket), below) in self.all(&format!("{family}_bucket")) {
                    let mut of_bucket = of_bucket.clone();
                    let bound = of_bucket.remove("le").unwrap().replace("+Inf", "inf");
                    if of_bucket == *labels {
                        buckets.push((bound.parse::<f64>().unwrap(), *below));
                    }
                }
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)));
            }
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = (&Series, &f64)> {
        self.series.iter().filter(move |((of, _), _)| of == name)
    }

    /// What a series says, if it is there.
    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        assert!(self.series.keys().any(|(of, _)| of == name), "no {name} in\n{}", self.text);
        let labels = labels.iter().map(|(name, said)| ((*name).to_owned(), (*said).to_owned()));
        self.series.get(&(name.to_owned(), labels.collect())).copied()
    }

    /// What a series says, which must be there.
    #[track_caller]
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = self.get(name, labels);
        value.unwrap_or_else(|| panic!("no {name} {labels:?} in\n{}", self.text))
    }

    /// All labels, with all that they say.
    pub(super) fn labels(&self) -> BTreeSet<(&str, &str)> {
        let labels = self.series.keys().flat_map(|(_, labels)| labels);
        labels.map(|(name, said)| (name.as_str(), said.as_str())).collect()
    }

    /// Fails unless this page came after the other: no counter has fallen, and no series of one is gone.
    #[track_caller]
    pub(super) fn expect_after(&self, before: &Self) {
        for ((name, labels), value) in &before.series {
            let kind = before.kinds.iter().find(|(family, _)| name.starts_with(family.as_str()));
            let now = self.series.get(&(name.clone(), labels.clone()));
            if kind.is_some_and(|(_, kind)| kind != "gauge") {
                assert!(now >= Some(value), "{name} {labels:?} was {value}, and is {now:?}");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_lowercase() || c == '_';
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// What a label says, and what stands behind it.
fn unescaped(text: &str) -> (String, &str) {
    let (mut said, mut chars) = (String::new(), text.char_indices());
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => return (said, &text[place + 1..]),
            '\\' => said.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("`\\{c}` stands for nothing in {text}"),
            }),
            c => said.push(c),
        }
    }
    panic!("no end of {text}")
}
