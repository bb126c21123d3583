//! Names by chance: ids, keys and types of every length and spelling, and their likes.

use es_core::backend::Limits;
use fastrand::Rng;

/// What is composed and what is not, cases, likes, blanks, what is not seen, what other languages
/// take for their own.
#[rustfmt::skip]
const PIECES: [&str; 64] = [
    "a", "A", "z", "i", "I", "ı", "İ", "é", "e\u{301}", "É", "Å", "A\u{30a}", "\u{212b}", "ß",
    "ss", "ẞ", "ﬁ", "fi", "ſ", "Σ", "ς", "한", "\u{1112}\u{1161}\u{11ab}", "日本", "ا", "\u{1f600}",
    "\u{1f468}\u{200d}\u{1f469}", "\u{200d}", "\u{200b}", "\u{ad}", "\u{feff}", "\u{202e}",
    "\u{2028}", "\u{a0}", "\u{3000}", " ", "\u{300}", "\u{fffd}", "\u{e000}", "\u{ffff}",
    "\u{10ffff}", "/", "//", "\\", "%", "_", "*", "?", "'", "\"", "`", "--", ";", ":", "$1", "{}",
    ",", "|", "-", "+", ".", "0", "9", "null",
];

/// Numbers, and what is nearly one.
#[rustfmt::skip]
const NUMBERS: [&str; 20] = [
    "0", "00", "-0", "+1", "1", "01", "1 ", "1.0", "1e3", "0x10", "1_000", "-1", "2147483647",
    "-2147483648", "2147483648", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "NaN", "Infinity",
];

/// What some store somewhere took for one: numbers, cases, blanks, forms of a letter, patterns.
#[rustfmt::skip]
pub(super) const ALIKE: [&str; 16] = [
    "1", "01", "+1", "1.0", "0", "-0", "a", "A", "a ", " a", "é", "e\u{301}", "a%", "a_", "a\\",
    "a\u{200b}",
];

/// A text of 1 to `most` bytes without control characters, but for a few that break that rule.
pub(crate) fn text(rng: &mut Rng, most: usize) -> String {
    let mut text = String::new();
    match rng.u8(..64) {
        0 => text.push_str(["", "\0", "a\n", "\u{85}", "\u{7f}"][rng.usize(..5)]),
        1..=6 => text.push_str(NUMBERS[rng.usize(..NUMBERS.len())]),
        7..=12 => text.push_str(&(rng.i64(..) >> rng.u32(..64)).to_string()),
        // up to the bound and beyond
        13 | 14 => {
            let bytes = rng.usize(most - 3..most + 4);
            let piece = PIECES[rng.usize(..PIECES.len())];
            while text.len() + piece.len() <= bytes {
                text.push_str(piece);
            }
            text.extend(std::iter::repeat_n('x', bytes - text.len()));
        }
        _ => {
            for _ in 0..rng.usize(1..7) {
                match rng.u8(..4) {
                    0 => text.push(rng.char(' '..)),
                    _ => text.push_str(PIECES[rng.usize(..PIECES.len())]),
                }
            }
        }
    }
    text
}

/// A text that looks like this one, or compares as equal by some rule; maybe the same.
pub(crate) fn like(rng: &mut Rng, text: &str) -> String {
    match rng.u8(..11) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => format!("{text} "),
        3 => format!(" {text}"),
        4 => format!("{text}\u{200b}"),
        5 => format!("0{text}"),
        6 => text.replace("e\u{301}", "é").replace("A\u{30a}", "Å").replace('\u{212b}', "Å"),
        7 => text.replace('é', "e\u{301}").replace('Å', "A\u{30a}"),
        8 => text.trim().to_owned(),
        9 => text.chars().take(text.chars().count().saturating_sub(1)).collect(),
        _ => format!("{text}%"),
    }
}

/// A snake_case name of 1 to `most` bytes, but for a few that are none.
pub(crate) fn snake_case(rng: &mut Rng, most: usize) -> String {
    const LETTERS: &[u8] = b"abyz_019";
    let bytes = match rng.u8(..16) {
        0 => rng.usize(most - 1..most + 2),
        1 => most,
        2 => return ["", "A", "1a", "a b", "é", "_a", "a-b", "a\0"][rng.usize(..8)].to_owned(),
        _ => rng.usize(1..5),
    };
    let mut name = String::from(['a', 'b', 'z'][rng.usize(..3)]);
    name.extend((1..bytes).map(|_| char::from(LETTERS[rng.usize(..LETTERS.len())])));
    name
}

/// An aggregate's type and an id; some are such that no stream has them.
pub(crate) fn stream(rng: &mut Rng) -> (String, String) {
    let id = text(rng, Limits::AGGREGATE_ID_BYTES);
    (snake_case(rng, Limits::AGGREGATE_TYPE_BYTES), id)
}
