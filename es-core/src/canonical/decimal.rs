//! The numbers of JSON as exact decimals, however many digits they have.

/// A JSON number in its parts: `sign whole.fraction` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    text: &'a str,
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    /// `None` if it is no number of 64 bits.
    exponent: Option<i64>,
}

impl<'a> Decimal<'a> {
    /// The parts of a number; `text` is one by the rules of JSON.
    pub(crate) fn of(text: &'a str) -> Self {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse().ok()),
            None => (text, Some(0)),
        };
        let (is_negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        Self { text, is_negative, whole, fraction, exponent }
    }

    fn is_zero(&self) -> bool {
        self.whole.bytes().chain(self.fraction.bytes()).all(|digit| digit == b'0')
    }

    fn digits(&self) -> impl Iterator<Item = u8> + 'a {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// The digits before the point and after it, once the exponent is written out.
    fn plain_parts(&self) -> Option<(i64, i64)> {
        let exponent = self.exponent?;
        let after = i64::try_from(self.fraction.len()).ok()?.checked_sub(exponent)?.max(0);
        if self.is_zero() {
            return Some((1, after));
        }
        // zeros in front of the point are not written
        let before = i64::try_from(self.whole.len()).ok()?.checked_add(exponent)?.max(1);
        Some((before, after))
    }

    /// At most so many bytes are needed to write the number out, but for the `.0` of the canonical
    /// form; `None` if that is no length.
    pub(crate) fn plain_bytes(&self) -> Option<usize> {
        let (before, after) = self.plain_parts()?;
        usize::try_from(before.checked_add(after)?.checked_add(2)?).ok()
    }

    /// Appends the number as a decimal database type writes it: without exponent, with all zeros
    /// behind the point that were there, and without a sign if it is zero.
    ///
    /// [`plain_bytes`](Self::plain_bytes) says how long that gets: ask first.
    pub(crate) fn write_plain(&self, out: &mut String) {
        let is_zero = self.is_zero();
        if self.is_negative && !is_zero {
            out.push('-');
        }
        let (Some(exponent), Some((_, after))) = (self.exponent, self.plain_parts()) else {
            return out.push_str(self.text.trim_start_matches('-'));
        };
        if exponent == 0 {
            out.push_str(self.whole);
            if !self.fraction.is_empty() {
                out.push('.');
                out.push_str(self.fraction);
            }
            return;
        }
        // `plain_bytes` was asked, so these are lengths
        let length = |number: i64| usize::try_from(number).unwrap_or(0);
        let count = self.whole.len() + self.fraction.len();
        let point = i64::try_from(self.whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
        let before = length(point).min(count);
        let start = out.len();
        for digit in self.digits().take(before).skip_while(|digit| *digit == b'0') {
            out.push(char::from(digit));
        }
        if out.len() == start {
            out.push('0');
        }
        if !is_zero {
            out.extend(std::iter::repeat_n('0', length(point).saturating_sub(count)));
            // a number such as 0.05e3: its digits begin beyond the zeros that were left out
            if out.as_bytes()[start] == b'0' && out.len() > start + 1 {
                let trimmed = out[start..].trim_start_matches('0').to_owned();
                out.truncate(start);
                out.push_str(&trimmed);
            }
        }
        if after > 0 {
            out.push('.');
            let zeros = length(point.saturating_neg()).min(length(after));
            out.extend(std::iter::repeat_n('0', zeros));
            out.extend(self.digits().skip(before).take(length(after) - zeros).map(char::from));
        }
    }

    /// As [`write_plain`](Self::write_plain), with a point if the number was written with a fraction
    /// or an exponent: readers take a number without one for an integer.
    pub(crate) fn write_canonical(&self, out: &mut String) {
        self.write_plain(out);
        let is_float = self.text.contains(['.', 'e', 'E']);
        if is_float && self.plain_parts().is_some_and(|(_, after)| after == 0) {
            out.push_str(".0");
        }
    }

    /// Appends the one text that all spellings of this value have in common.
    pub(crate) fn write_normal(&self, out: &mut String) {
        if self.is_zero() {
            return out.push('0');
        }
        let trailing = self.fraction.bytes().rev().chain(self.whole.bytes().rev());
        let trailing = trailing.take_while(|digit| *digit == b'0').count();
        let count = self.whole.len() + self.fraction.len() - trailing;
        let power = || {
            let behind = i64::try_from(self.fraction.len()).ok()?;
            self.exponent?.checked_sub(behind)?.checked_add(i64::try_from(trailing).ok()?)
        };
        let Some(power) = power() else {
            return out.push_str(self.text);
        };
        if self.is_negative {
            out.push('-');
        }
        let digits = self.digits().take(count).skip_while(|digit| *digit == b'0');
        out.extend(digits.map(char::from));
        if power != 0 {
            out.push('e');
            out.push_str(&power.to_string());
        }
    }
}

/// True if a number is written out: without an exponent, and not zero with a sign.
pub(super) fn is_plain(number: &str) -> bool {
    !number.starts_with("-0") && !number.contains(['e', 'E'])
}

/// The integer that a JSON number is once it is written out: `1e3` is 1000. One with a point is none,
/// whatever stands behind it: a database type of decimals keeps it.
pub(crate) fn integer(text: &str) -> Option<i128> {
    /// An integer of 128 bits has no more digits.
    const DIGITS: i64 = 39;
    let number = Decimal::of(text);
    let (before, after) = number.plain_parts()?;
    if before > DIGITS || after > 0 {
        return None;
    }
    let mut plain = String::new();
    number.write_plain(&mut plain);
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same_number(a: &str, b: &str) -> bool {
        let normal = |text| {
            let mut out = String::new();
            Decimal::of(text).write_normal(&mut out);
            out
        };
        normal(a) == normal(b)
    }

    fn plain(text: &str) -> String {
        let mut out = String::new();
        let number = Decimal::of(text);
        number.write_plain(&mut out);
        assert!(out.len() <= number.plain_bytes().unwrap(), "{text}: {out}");
        out
    }

    #[test]
    fn numbers_are_written_out_as_numeric_writes_them() {
        let cases = [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("0e10", "0"),
            ("0e-3", "0.000"),
            ("-0.0e1", "0"),
            ("1.50", "1.50"),
            ("-1.50", "-1.50"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("1.5e3", "1500"),
            ("1.50e1", "15.0"),
            ("0.05e3", "50"),
            ("0.05e1", "0.5"),
            ("0.0012e3", "1.2"),
            ("12e-1", "1.2"),
            ("12e-2", "0.12"),
            ("12e-5", "0.00012"),
            ("-1e-3", "-0.001"),
            ("10e-1", "1.0"),
            ("1e0", "1"),
            ("1.0e-2", "0.010"),
            ("100.25e1", "1002.5"),
            ("0.100e2", "10.0"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
            assert_eq!(plain(expected), expected, "{text}: written out twice");
        }
        assert_eq!(plain("1e308").len(), 309);
        assert_eq!(Decimal::of("1e99999999999999999999").plain_bytes(), None);
        assert_eq!(Decimal::of("0e9223372036854775807").plain_bytes(), Some(3));
    }

    #[test]
    fn what_was_written_as_a_float_stays_one() {
        let cases = [
            ("1e16", "10000000000000000.0"),
            ("-1E+2", "-100.0"),
            ("1.5e3", "1500.0"),
            ("0e10", "0.0"),
            ("-0.0", "0.0"),
            ("1e-2", "0.01"),
            ("1.50", "1.50"),
            ("100", "100"),
            ("-0", "0"),
            ("18446744073709551617", "18446744073709551617"),
        ];
        for (text, expected) in cases {
            let mut out = String::new();
            Decimal::of(text).write_canonical(&mut out);
            assert_eq!(out, expected, "{text}");
            assert!(is_same_number(text, expected));
        }
    }

    #[test]
    fn a_number_is_the_same_in_every_spelling() {
        let same = [
            ("100", "1e2"),
            ("1.00E+2", "100.0"),
            ("-0", "0.000"),
            ("0e5", "-0.0e-7"),
            ("0.001", "1e-3"),
            ("123000", "1.23e5"),
            ("1e400", "10e399"),
        ];
        for (a, b) in same {
            assert!(is_same_number(a, b) && is_same_number(b, a), "{a} {b}");
        }
        let different = [
            ("18446744073709551616", "18446744073709551617"),
            ("0.12345678901234567890", "0.12345678901234567891"),
            ("1", "-1"),
            ("1e400", "1e401"),
            ("12", "1.2"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ];
        for (a, b) in different {
            assert!(!is_same_number(a, b), "{a} {b}");
        }
    }

    #[test]
    fn an_integer_is_read_in_every_spelling_and_nothing_else_is_one() {
        let integers = [
            ("5", 5),
            ("-5", -5),
            ("0.05e2", 5),
            ("1e17", 100_000_000_000_000_000),
            ("-0", 0),
            ("18446744073709551616", 1 << 64),
            ("1.70141183460469231731687303715884105727e38", i128::MAX),
        ];
        for (text, expected) in integers {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
        for text in ["0.5", "5.0", "50e-1", "-0.0", "1e39", "1e99999999999999999999", "1e400"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
