//! A guide as its readers see it: its sections, and the blocks in them.

use std::fs;
use std::path::Path;

/// What stands below a heading of the second level; the first one below none.
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the fence: the language, and perhaps a name.
    pub(crate) info: String,
    pub(crate) text: String,
    /// Where it stands, as an editor finds it.
    pub(crate) place: String,
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }
}

/// The text of a guide.
pub(crate) fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(path).unwrap()
}

/// All of a guide.
pub(crate) fn sections(name: &str) -> Vec<Section> {
    let mut sections = vec![Section { heading: String::new(), blocks: Vec::new() }];
    let mut open: Option<Block> = None;
    for (line, number) in text(name).lines().zip(1..) {
        let fence = line.strip_prefix("```");
        open = match (open, fence) {
            (None, Some(info)) => {
                let (info, place) = (info.to_owned(), format!("docs/{name}:{number}"));
                Some(Block { info, text: String::new(), place })
            }
            (Some(block), Some(_)) => {
                sections.last_mut().unwrap().blocks.push(block);
                None
            }
            (Some(mut block), None) => {
                block.text += line;
                block.text.push('\n');
                Some(block)
            }
            (None, None) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    let heading = heading.to_owned();
                    sections.push(Section { heading, blocks: Vec::new() });
                }
                None
            }
        };
    }
    assert!(open.is_none(), "the last block of {name} has no end");
    sections
}

/// The cells of the table whose header begins with these cells, without the header.
pub(crate) fn table(name: &str, header: &str) -> Vec<Vec<String>> {
    let page = text(name);
    let (_, rest) = page.split_once(&format!("\n| {header} |")).unwrap_or_else(|| {
        panic!("{name} has no table that begins with `{header}`");
    });
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// True if the line is the pattern, in which `…` stands for anything and gaps may be of any width.
pub(crate) fn fits(pattern: &str, line: &str) -> bool {
    let [pattern, line] =
        [pattern, line].map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// True if each line fits its pattern; a line `…` stands for any lines, or none.
pub(crate) fn all_fit(patterns: &[&str], lines: &[&str]) -> bool {
    match (patterns, lines) {
        ([], lines) => lines.is_empty(),
        (["…", rest @ ..], lines) => (0..=lines.len()).any(|skip| all_fit(rest, &lines[skip..])),
        ([pattern, patterns @ ..], [line, lines @ ..]) => {
            fits(pattern, line) && all_fit(patterns, lines)
        }
        ([_, ..], []) => false,
    }
}

#[test]
fn a_line_fits_its_pattern_and_no_other() {
    for (pattern, line, expected) in [
        ("a  b", " a b", true),
        ("a … c", "a b c", true),
        ("a … c", "a c", false),
        ("a…", "a", true),
        ("…a", "ba", true),
        ("…a", "ab", false),
        ("a", "ab", false),
        ("a … b … c", "a 1 b 2 c", true),
    ] {
        assert_eq!(fits(pattern, line), expected, "{pattern:?} {line:?}");
    }
    assert!(all_fit(&["…", "b", "…"], &["a", "b"]));
    assert!(all_fit(&["a", "…", "b"], &["a", "b"]));
    assert!(!all_fit(&["…", "b"], &["a", "b", "c"]));
    assert!(!all_fit(&["a"], &[]));
    assert!(all_fit(&[], &[]));
}
