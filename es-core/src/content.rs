//! What JSON may contain to be storable on every backend.

use std::borrow::Cow;

use crate::canonical::{Decimal, canonical, number_at};
use crate::limits::Limits;

mod strings;

use strings::check_key;
pub(crate) use strings::{check_string, has_reserved_key};

/// A value that some backend could not keep, so that every backend refuses it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentProblem {
    /// A string or key contains the character U+0000.
    #[error("a string at `{path}` contains U+0000, which cannot be stored; remove it")]
    NulCharacter {
        /// Where, as a JSON pointer.
        path: String,
    },
    /// A string contains one half of a surrogate pair, which is no character.
    #[error("the escape at byte {at} is half of a surrogate pair; write the whole character")]
    LoneSurrogate {
        /// The byte of the text at which the escape begins.
        at: usize,
    },
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {limit} levels at byte {at}; flatten the value")]
    TooDeep {
        /// The byte of the text at which the limit was passed.
        at: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// A number is beyond what a double can hold.
    #[error(
        "the number at byte {at} is beyond a double (exponents ±{limit}); store it as a string"
    )]
    HugeNumber {
        /// The byte of the text at which its digits begin.
        at: usize,
        /// The largest exponent, either way.
        limit: u32,
    },
    /// A number is written with more digits than some databases keep.
    #[error(
        "the number at byte {at} is longer than {limit} bytes; round it or store it as a string"
    )]
    LongNumber {
        /// The byte of the text at which its digits begin.
        at: usize,
        /// The limit in bytes, without the sign.
        limit: usize,
    },
    /// Two members of an object have one name: databases keep one of them, readers take either.
    #[error("the member at `{path}` stands twice; give each member a name of its own")]
    RepeatedMember {
        /// Where, as a JSON pointer.
        path: String,
    },
    /// A key is one of those by which serde_json tells its own values from objects.
    #[error("the key at byte {at} is reserved by serde_json; rename it")]
    ReservedKey {
        /// The byte of the text at which the key begins.
        at: usize,
    },
    /// It is what a store gave in the place of a document that it could not read.
    #[error("{reason}, so there is nothing to store")]
    Unreadable {
        /// The event and the column.
        reason: String,
    },
    /// The text is longer than allowed in the form in which it is stored: without white space, its
    /// numbers written out.
    #[error("{bytes} bytes, more than the limit of {limit}; store large data elsewhere")]
    TooLarge {
        /// The length of the stored text in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Checks JSON text against what every backend can keep, without building a value and without
/// recursion.
///
/// `max_bytes` is the limit for this text, `max_depth` that for its nesting. The text counts as it
/// is stored: without white space, with numbers such as `1e300` written out.
///
/// # Errors
///
/// The first [`ContentProblem`] in the text.
pub fn check_json(text: &str, max_bytes: usize, max_depth: usize) -> Result<(), ContentProblem> {
    stored_text(text, max_bytes, max_depth).map(drop)
}

/// The canonical form of a text that passes [`check_json`].
pub(crate) fn stored_text(
    text: &str,
    max_bytes: usize,
    max_depth: usize,
) -> Result<Cow<'_, str>, ContentProblem> {
    stored_size(text, max_bytes, max_depth)?;
    canonical(text, usize::MAX)
}

/// How many bytes the canonical form of a text has, if it passes [`check_json`] but for members that
/// stand twice.
pub(crate) fn stored_size(
    text: &str,
    max_bytes: usize,
    max_depth: usize,
) -> Result<usize, ContentProblem> {
    let bytes = stored_bytes(text, max_depth)?;
    match bytes > max_bytes {
        true => Err(ContentProblem::TooLarge { bytes, limit: max_bytes }),
        false => Ok(bytes),
    }
}

/// How many bytes the canonical form of a text has, if nothing else in it is refused.
fn stored_bytes(text: &str, max_depth: usize) -> Result<usize, ContentProblem> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut count) = (0, 0usize, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let (end, saved) = check_string(text, at)?;
                check_key(text, at, end)?;
                count += end - at - saved;
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let number = number_at(text, at);
                count += check_number(number, at)?;
                at += number.len();
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return Err(ContentProblem::TooDeep { at, limit: max_depth });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        count += usize::from(!matches!(bytes[at], b' ' | b'\t' | b'\n' | b'\r'));
        at += 1;
    }
    Ok(count)
}

/// Checks the number that begins at `at` and answers how many bytes it has once it is written out.
fn check_number(number: &str, at: usize) -> Result<usize, ContentProblem> {
    /// A number of so many characters without an exponent is far from every bound.
    const SHORT: usize = 300;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let at = at + number.len() - digits.len();
    if digits.len() > Limits::NUMBER_BYTES {
        return Err(ContentProblem::LongNumber { at, limit: Limits::NUMBER_BYTES });
    }
    let exponent = digits.find(['e', 'E']);
    if exponent.is_none() && digits.len() <= SHORT && !number.starts_with("-0") {
        return Ok(number.len());
    }
    let limit = Limits::EXPONENT;
    let is_small = exponent.is_none_or(|at| {
        let digits = digits[at + 1..].trim_start_matches(['+', '-']);
        digits.parse::<u32>().is_ok_and(|exponent| exponent <= limit)
    });
    let decimal = Decimal::of(number);
    match decimal.plain_bytes() {
        // the bytes count the sign, too
        Some(bytes) if is_small && bytes > Limits::NUMBER_BYTES + 1 => {
            Err(ContentProblem::LongNumber { at, limit: Limits::NUMBER_BYTES })
        }
        Some(bytes) if is_small && digits.parse::<f64>().is_ok_and(f64::is_finite) => {
            let mut out = String::with_capacity(bytes + 2);
            decimal.write_canonical(&mut out);
            Ok(out.len())
        }
        _ => Err(ContentProblem::HugeNumber { at, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), ContentProblem> {
        check_json(text, 1_000_000, 64)
    }

    #[test]
    fn ordinary_json_passes() {
        let texts = [
            r#"{"output":"Straße \ud83d\ude00 \"quoted\" \\u0000","n":[1,2.5e10,-1E-300,true,false,null]}"#,
            "\"\"",
            "{}",
        ];
        for text in texts {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn nul_is_refused_with_its_path() {
        let path = |text| match check(text) {
            Err(ContentProblem::NulCharacter { path }) => path,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(path(r#"{"a":["x","y\u0000"]}"#), "/a/1");
        assert_eq!(path(r#"{"a~b/c":"\u0000"}"#), "/a~0b~1c");
        assert_eq!(path(r#""\u0000""#), "/");
        assert_eq!(path(r#"{"k\u0000":1}"#), "/k\\u0000");
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for text in [r#""\ud800""#, r#""\udc00x""#, r#""\ud800A""#, r#""\ud83d x""#] {
            assert!(matches!(check(text), Err(ContentProblem::LoneSurrogate { .. })), "{text}");
        }
    }

    #[test]
    fn depth_and_size_and_exponent_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&nested(64)), Ok(()));
        assert!(matches!(check(&nested(65)), Err(ContentProblem::TooDeep { limit: 64, .. })));
        assert!(matches!(check(&nested(50_000)), Err(ContentProblem::TooDeep { .. })));
        let many_digits = "9".repeat(400);
        for huge in ["1e309", "[1E-131071]", "1e99999999999", "99999e308", &many_digits] {
            assert!(matches!(check(huge), Err(ContentProblem::HugeNumber { .. })), "{huge}");
        }
        for number in [f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!(check(&format!("[{number:e},-{number:e}]")), Ok(()));
        }
        assert!(matches!(
            check_json("\"abcdef\"", 7, 64),
            Err(ContentProblem::TooLarge { bytes: 8, limit: 7 })
        ));
    }

    #[test]
    fn numbers_are_bounded_in_length() {
        let of_length = |length: usize| format!("0.{}", "1".repeat(length - 2));
        let longest = of_length(Limits::NUMBER_BYTES);
        assert_eq!(check(&format!("[{longest},-{longest}]")), Ok(()));
        let too_long = of_length(Limits::NUMBER_BYTES + 1);
        for (text, at) in [(too_long.clone(), 0), (format!("{{\"a\":-{too_long}}}"), 6)] {
            let limit = Limits::NUMBER_BYTES;
            assert_eq!(check(&text), Err(ContentProblem::LongNumber { at, limit }));
        }
        let zeros = format!("0.{}e-324", "0".repeat(Limits::NUMBER_BYTES));
        assert!(matches!(check(&zeros), Err(ContentProblem::LongNumber { at: 0, .. })));
        // so is what is written out
        let grows = format!("{}e-300", of_length(900));
        assert!(matches!(check(&grows), Err(ContentProblem::LongNumber { at: 0, .. })));
        // digits in a string are text
        assert_eq!(check(&format!("\"{too_long}\"")), Ok(()));
    }

    #[test]
    fn the_keys_that_serde_json_reserves_are_refused_at_any_depth_and_in_any_spelling() {
        let refused = [
            r#"{"$serde_json::private::RawValue":5}"#,
            r#"[{"a":{"b":1,"$serde_json::private::Number" : "1"}}]"#,
            r#"{"\u0024serde_json::private::RawValue":"[]"}"#,
            r#"{"$serde_json::private::\u004eumber"
                :1}"#,
        ];
        for text in refused {
            assert!(matches!(check(text), Err(ContentProblem::ReservedKey { .. })), "{text}");
        }
        let taken = [
            r#""$serde_json::private::RawValue""#,
            r#"{"a":"$serde_json::private::RawValue","$serde_json::private::Raw":1}"#,
            r#"{"$serde_json::private::RawValues":1,"x$serde_json::private::Number":2}"#,
        ];
        for text in taken {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn numbers_count_as_they_are_written_out() {
        let many = |number: &str, count: usize| format!("[{}]", vec![number; count].join(","));
        for number in ["1e308", "1e-308", "-1.5E+300"] {
            assert_eq!(check_json(&many(number, 10), 4_000, 64), Ok(()), "{number}");
            let grown = check_json(&many(number, 20), 4_000, 64);
            assert!(matches!(grown, Err(ContentProblem::TooLarge { .. })), "{number}: {grown:?}");
        }
        // what is written out already, or shrinks, counts as it is
        for number in ["1.50", "1000000e-3", "123456789012345678901234567890"] {
            let text = many(number, 20);
            assert_eq!(check_json(&text, text.len() + 20 * 8, 64), Ok(()), "{number}");
        }
    }

    #[test]
    fn every_double_written_out_is_short_enough() {
        // the one with the most digits, and the largest
        for number in [f64::from_bits(0x000F_FFFF_FFFF_FFFF), 5e-324, f64::MAX] {
            let exact = format!("{number:.1074}");
            assert_eq!(exact.parse::<f64>(), Ok(number));
            assert_eq!(check(exact.trim_end_matches('0')), Ok(()), "{exact}");
        }
    }
}
