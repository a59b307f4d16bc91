//! Numbers and lists of numbers: of the command line, of /proc and of cgroup files.

use super::split::{split, split_once};
use alloc::vec::Vec;

/// Why some bytes are not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They do not have the expected form.
    Form,
    /// They have the expected form, but the number is too large.
    Overflow,
}

/// Parses a decimal number: digits only, no sign.
pub fn decimal(bytes: &[u8]) -> Result<u64, Malformed> {
    if bytes.is_empty() {
        return Err(Malformed::Form);
    }
    let mut n: u64 = 0;
    let mut is_too_large = false;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return Err(Malformed::Form);
        }
        match n.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0'))) {
            Some(next) => n = next,
            // A later byte may still show that this is no number at all.
            None => is_too_large = true,
        }
    }
    if is_too_large { Err(Malformed::Overflow) } else { Ok(n) }
}

/// Parses hexadecimal digits without a prefix, as /proc/PID/status writes sets of signals and capabilities. No digits
/// are 0; `None` if a byte is not a digit or the number needs more than 64 bits.
pub fn hexadecimal(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0u64, |n, digit| Some(n.checked_mul(16)? | u64::from(char::from(*digit).to_digit(16)?)))
}

/// A number for a text, FNV-1a of 64 bits: two texts hardly ever have the same one.
pub fn fingerprint(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |number: u64, byte| (number ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Parses a size in bytes as docker writes it: a decimal number, which may have a fraction, with an optional unit
/// `b k m g t`, in either case, in powers of 1024, and after that `b` or `ib`, as in `100MB`. The largest size is `i64::MAX`,
/// which is the largest that the kernel stores.
pub fn size(bytes: &[u8]) -> Result<u64, Malformed> {
    let end = bytes.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(bytes.len());
    let (number, unit) = bytes.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 0,
        unit => shift_of(unit).ok_or(Malformed::Form)?,
    };
    let (whole, fraction) = split_once(number, b'.').unwrap_or((number, b"0"));
    // Nine digits tell one byte of a gigabyte from the next.
    let fraction = match decimal(fraction) {
        Err(Malformed::Form) => return Err(Malformed::Form),
        _ => first_digits(fraction, 9),
    };
    // A fraction of a byte is nothing. Any other unit is 2^10 at least: 2^9 of it and of 10^9 cancel out, which leaves 61 bits.
    let fraction = if shift == 0 { 0 } else { (fraction << (shift - 9)) / 5u64.pow(9) };
    let size = decimal(whole)?.checked_mul(1 << shift).and_then(|size| size.checked_add(fraction));
    size.filter(|size| *size <= i64::MAX as u64).ok_or(Malformed::Overflow)
}

/// The number that the first `count` of these `digits` make, with zeros behind them if there are fewer.
fn first_digits(digits: &[u8], count: usize) -> u64 {
    (0..count).fold(0, |n, at| 10 * n + u64::from(digits.get(at).map_or(0, |digit| digit - b'0')))
}

/// The power of two that a unit such as `m`, `mb` or `mib` stands for.
fn shift_of(unit: &[u8]) -> Option<u32> {
    let (letter, rest) = unit.split_first()?;
    let power = b"kmgt".iter().position(|known| known == letter)? as u32 + 1;
    matches!(rest, b"" | b"b" | b"ib").then_some(10 * power)
}

/// Parses a number of CPUs such as `1.5` into microseconds of CPU time per 100,000 microseconds. Digits after the fifth
/// decimal place are dropped, as docker does.
pub fn cpus(bytes: &[u8]) -> Result<u64, Malformed> {
    let (whole, fraction) = split_once(bytes, b'.').unwrap_or((bytes, b""));
    if whole.is_empty() && fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Form);
    }
    let whole = if whole.is_empty() { 0 } else { decimal(whole)? };
    let micros = whole.checked_mul(100_000).and_then(|micros| micros.checked_add(first_digits(fraction, 5)));
    micros.ok_or(Malformed::Overflow)
}

/// A set of CPUs or memory nodes, made by [`list`]. Two lists with the same members are equal, however they are written.
#[derive(Debug)]
pub struct Set(Vec<(u64, u64)>);

impl Set {
    /// Whether the set has no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is a member.
    pub fn has(&self, number: u64) -> bool {
        self.0.iter().any(|&(low, high)| low <= number && number <= high)
    }

    /// Whether all members are below `limit`.
    pub fn is_below(&self, limit: u64) -> bool {
        self.0.iter().all(|(_, high)| *high < limit)
    }

    /// Whether all numbers of `other` are members.
    pub fn has_all(&self, other: &Set) -> bool {
        other.0.iter().all(|&(low, high)| {
            let mut missing = Some(low);
            while let Some(next) = missing.filter(|next| *next <= high) {
                let Some((_, to)) = self.0.iter().find(|(from, to)| *from <= next && next <= *to) else { return false };
                missing = to.checked_add(1);
            }
            true
        })
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Set) -> bool {
        self.has_all(other) && other.has_all(self)
    }
}

/// Parses the list format of cpuset(7), such as `0-4,9`. An empty list is the empty set.
pub fn list(bytes: &[u8]) -> Result<Set, Malformed> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    if bytes.is_empty() {
        return Ok(Set(ranges));
    }
    for range in split(bytes, b',') {
        let (low, high) = split_once(range, b'-').unwrap_or((range, range));
        let (low, high) = (decimal(low)?, decimal(high)?);
        if low > high {
            return Err(Malformed::Form);
        }
        ranges.push((low, high));
    }
    Ok(Set(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use proptest::prelude::*;

    #[test]
    fn hexadecimal_numbers() {
        for (text, number) in [
            ("00000000280b0ffb", Some(0x280b0ffb)),
            ("ffffffffffffffff", Some(u64::MAX)),
            ("0ffffffffffffffff", Some(u64::MAX)),
            ("10000000000000000", None),
            ("A", Some(10)),
            ("", Some(0)),
            ("0x1", None),
            ("-1", None),
        ] {
            assert_eq!(hexadecimal(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn decimal_numbers() {
        assert_eq!(decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), Err(Malformed::Overflow));
        assert_eq!(decimal(b"99999999999999999999x"), Err(Malformed::Form));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Ok(0)),
            ("1", Ok(1)),
            ("100m", Ok(100 << 20)),
            ("7B", Ok(7)),
            ("2K", Ok(2048)),
            ("3g", Ok(3 << 30)),
            ("1T", Ok(1 << 40)),
            ("8388607t", Ok(8388607 << 40)),
            ("8388608t", Err(Malformed::Overflow)),
            ("9223372036854775807", Ok(i64::MAX as u64)),
            ("9223372036854775808", Err(Malformed::Overflow)),
            ("99999999999999999999", Err(Malformed::Overflow)),
            ("", Err(Malformed::Form)),
            ("m", Err(Malformed::Form)),
            ("1mb", Ok(1 << 20)),
            ("2GiB", Ok(2 << 30)),
            ("1.5g", Ok(3 << 29)),
            ("0.0005k", Ok(0)),
            ("1.9", Ok(1)),
            ("8388607.9999999999t", Ok((8388607 << 40) + 1099511626676)),
            ("1bb", Err(Malformed::Form)),
            ("1ib", Err(Malformed::Form)),
            ("1.2.3", Err(Malformed::Form)),
            ("1.", Err(Malformed::Form)),
            (".5m", Err(Malformed::Form)),
            ("-1", Err(Malformed::Form)),
            ("+1", Err(Malformed::Form)),
            (" 1", Err(Malformed::Form)),
            ("1 ", Err(Malformed::Form)),
            ("0x10", Err(Malformed::Form)),
        ] {
            assert_eq!(size(text.as_bytes()), bytes, "{text:?}");
        }
    }

    /// The size parser again, slowly: u128, one rule a line.
    fn size_oracle(text: &str) -> Result<u64, Malformed> {
        let lower = text.to_lowercase();
        let number = lower.trim_end_matches(['b', 'k', 'm', 'g', 't', 'i']);
        let unit = match &lower[number.len()..] {
            "" | "b" => 1u128,
            "k" | "kb" | "kib" => 1024,
            "m" | "mb" | "mib" => 1024 * 1024,
            "g" | "gb" | "gib" => 1024 * 1024 * 1024,
            "t" | "tb" | "tib" => 1024 * 1024 * 1024 * 1024,
            _ => return Err(Malformed::Form),
        };
        let (number, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if number.is_empty()
            || fraction.is_empty()
            || !(number.to_string() + fraction).chars().all(|c| c.is_ascii_digit())
        {
            return Err(Malformed::Form);
        }
        let nanos: u128 = format!("{fraction:0<9}")[..9].parse().unwrap();
        match number.parse::<u128>().ok().and_then(|n| n.checked_mul(unit)?.checked_add(nanos * unit / 1_000_000_000)) {
            Some(n) if n <= i64::MAX as u128 => Ok(n as u64),
            _ => Err(Malformed::Overflow),
        }
    }

    #[test]
    fn sizes_agree_with_the_oracle() {
        let accepted = Cell::new(0);
        proptest!(ProptestConfig::with_cases(10_000), |(text in "[0-9]{0,21}[0-9bkmgtBKMGT. x-]{0,2}[0-9]{0,3}[bkmgtiBKMGTI]{0,3}")| {
            accepted.set(accepted.get() + u32::from(size(text.as_bytes()).is_ok()));
            prop_assert_eq!(size(text.as_bytes()), size_oracle(&text));
        });
        assert!(accepted.get() > 1_000, "only {} of the random sizes were sizes", accepted.get());
    }

    #[test]
    fn cpu_numbers() {
        for (text, micros) in [
            ("1", Ok(100_000)),
            ("1.5", Ok(150_000)),
            (".5", Ok(50_000)),
            ("2.", Ok(200_000)),
            ("0.01", Ok(1_000)),
            ("0.123456789", Ok(12_345)),
            ("0", Ok(0)),
            ("", Err(Malformed::Form)),
            (".", Err(Malformed::Form)),
            ("1.5.1", Err(Malformed::Form)),
            ("-1", Err(Malformed::Form)),
            ("1e3", Err(Malformed::Form)),
            ("999999999999999999", Err(Malformed::Overflow)),
        ] {
            assert_eq!(cpus(text.as_bytes()), micros, "{text:?}");
        }
    }

    #[test]
    fn lists_are_compared_as_sets() {
        let same = |a: &str, b: &str| list(a.as_bytes()).unwrap() == list(b.as_bytes()).unwrap();
        assert!(same("1,0", "0-1"));
        assert!(same("0-3,2-5,7", "0-5,7"));
        assert!(same("3,3,3", "3"));
        assert!(!same("0-1", "0-2"));
        assert!(!same("", "0"));
        assert!(list(b"").unwrap().is_empty() && !list(b"0").unwrap().is_empty());
        for bad in ["a", "1-", "-1", "3-1", ",", "1,,2", "1 2", "1;2"] {
            assert_eq!(list(bad.as_bytes()), Err(Malformed::Form), "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn lists_agree_with_a_set_of_numbers(ranges in prop::collection::vec((0u64..20, 0u64..4), 0..6)) {
            let text: Vec<String> = ranges.iter().map(|(low, len)| format!("{low}-{}", low + len)).collect();
            let numbers: std::collections::BTreeSet<u64> =
                ranges.iter().flat_map(|&(low, len)| low..=low + len).collect();
            let one_by_one: Vec<String> = numbers.iter().map(u64::to_string).collect();
            prop_assert_eq!(list(text.join(",").as_bytes()), list(one_by_one.join(",").as_bytes()));
        }
    }
}
