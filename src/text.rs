//! Bytes as people write them: numbers, sizes, lists; and the two buffers that messages are put into.

use alloc::vec::Vec;
use core::ffi::CStr;

/// The digit of a number below 16.
const fn hexadecimal(n: u8) -> u8 {
    if n < 10 { b'0' + n } else { b'a' + n - 10 }
}

/// Something that bytes can be put into. What does not fit is cut, and the cut is shown as `...`.
pub trait Put {
    /// Puts `bytes` as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Puts `n` in decimal.
    fn put_decimal(&mut self, n: u64)
    where
        Self: Sized,
    {
        put_decimal(self, n);
    }

    /// Puts `n` in hexadecimal, with `0x`.
    fn put_hex(&mut self, n: u64)
    where
        Self: Sized,
    {
        put_hex(self, n);
    }

    /// Puts `bytes` with what would disturb a terminal written as C escapes.
    fn put_escaped(&mut self, bytes: &[u8])
    where
        Self: Sized,
    {
        put_escaped(self, bytes);
    }

    /// Puts `bytes`, and blanks up to `width`.
    fn put_column(&mut self, bytes: &[u8], width: usize) {
        self.put(bytes);
        for _ in bytes.len()..width {
            self.put(b" ");
        }
    }

    /// Puts so many microseconds in seconds, with all six digits after the point.
    fn put_seconds(&mut self, micros: u64)
    where
        Self: Sized,
    {
        put_seconds(self, micros);
    }

    /// Puts a string of JSON (RFC 8259, section 7). Where it is not UTF-8, which JSON cannot hold, every byte above ASCII
    /// shows as U+FFFD.
    fn put_json(&mut self, bytes: &[u8])
    where
        Self: Sized,
    {
        let valid = core::str::from_utf8(bytes).is_ok();
        self.put(b"\"");
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.put(&[b'\\', byte]),
                0x80.. if !valid => self.put("\u{fffd}".as_bytes()),
                0x20.. => self.put(&[byte]),
                _ => self.put(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), hexadecimal(byte & 15)]),
            }
        }
        self.put(b"\"");
    }

    /// Puts the parts, joined, as one string in double quotes.
    fn put_quoted(&mut self, parts: &[&[u8]])
    where
        Self: Sized,
    {
        put_quoted(self, parts);
    }
}

// What follows is there once, whatever it is put into.

#[inline(never)]
fn put_decimal(out: &mut dyn Put, n: u64) {
    let mut digits = [0u8; 20];
    let mut rest = n;
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    out.put(digits.get(start..).unwrap_or_default());
}

#[inline(never)]
fn put_hex(out: &mut dyn Put, n: u64) {
    out.put(b"0x");
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        let digit = (n >> (4 * at) & 0xf) as u8;
        out.put(&[hexadecimal(digit)]);
    }
}

#[inline(never)]
fn put_seconds(out: &mut dyn Put, micros: u64) {
    put_decimal(out, micros / 1_000_000);
    out.put(b".");
    let mut digits = [b'0'; 6];
    let mut rest = micros % 1_000_000;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.put(&digits);
}

#[inline(never)]
fn put_escaped(out: &mut dyn Put, bytes: &[u8]) {
    for byte in bytes {
        let byte = *byte;
        match byte {
            b'\n' => out.put(b"\\n"),
            b'\t' => out.put(b"\\t"),
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            0x20..=0x7e | 0x80.. => out.put(&[byte]),
            _ => out.put(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
}

#[inline(never)]
fn put_quoted(out: &mut dyn Put, parts: &[&[u8]]) {
    out.put(b"\"");
    for part in parts {
        put_escaped(out, part);
    }
    out.put(b"\"");
}

impl Put for Vec<u8> {
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// At most `N` bytes of text in place: no heap, so that the child can fill one after clone. `N` is under 256.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// An empty text.
    pub const fn new() -> Self {
        const { assert!(N > 3 && N < 256) }
        Text { len: 0, bytes: [0; N] }
    }

    /// The parts, joined, in double quotes.
    pub fn quoted(parts: &[&[u8]]) -> Self {
        let mut text = Self::new();
        text.put_quoted(parts);
        text
    }

    /// `bytes` as they are.
    pub fn plain(bytes: &[u8]) -> Self {
        let mut text = Self::new();
        text.put(bytes);
        text
    }

    /// What has been put, if a NUL ends it.
    pub fn as_c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.as_bytes()).ok()
    }

    /// Cuts what is longer than `len`, and shows it as `...`.
    pub fn cut(&mut self, len: u8) {
        if self.len > len {
            self.len = len.saturating_sub(3);
            self.put(b"...");
        }
    }

    /// What has been put.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Put for Text<N> {
    fn put(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        for (slot, byte) in room.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        let cut = bytes.len() > room.len();
        self.len += bytes.len().min(room.len()) as u8;
        if cut && let Some(end) = self.bytes.last_chunk_mut() {
            *end = *b"...";
        }
    }
}

/// Why a number was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not have the form that is expected.
    Form,
    /// It has, and is larger than can be held.
    Overflow,
}

/// A decimal number without a sign.
pub fn decimal(bytes: &[u8]) -> Result<u64, Malformed> {
    if bytes.is_empty() {
        return Err(Malformed::Form);
    }
    let mut n: u64 = 0;
    let mut overflow = false;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return Err(Malformed::Form);
        }
        match n.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0'))) {
            Some(next) => n = next,
            None => overflow = true,
        }
    }
    if overflow { Err(Malformed::Overflow) } else { Ok(n) }
}

/// A hexadecimal number without a prefix, as /proc writes sets.
pub fn from_hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, digit| Some(n << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

/// `n` in decimal.
pub fn to_decimal(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_decimal(n);
    out
}

/// BYTES as docker writes them: a decimal number with an optional `b k m g t`, either case, powers of 1024. At most
/// `i64::MAX`, which is what the kernel holds a size in.
pub fn size(bytes: &[u8]) -> Result<u64, Malformed> {
    let (digits, shift) = match bytes.split_last() {
        Some((b'b' | b'B', digits)) => (digits, 0),
        Some((b'k' | b'K', digits)) => (digits, 10),
        Some((b'm' | b'M', digits)) => (digits, 20),
        Some((b'g' | b'G', digits)) => (digits, 30),
        Some((b't' | b'T', digits)) => (digits, 40),
        _ => (bytes, 0),
    };
    let n = decimal(digits)?;
    if n > i64::MAX as u64 >> shift { Err(Malformed::Overflow) } else { Ok(n << shift) }
}

/// A number of CPUs such as `1.5`, in microseconds of every 100,000. Digits past the fifth after the point are cut, as
/// docker does.
pub fn cpus(bytes: &[u8]) -> Result<u64, Malformed> {
    let (whole, part) = split_at(bytes, b'.').unwrap_or((bytes, b""));
    if whole.is_empty() && part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Form);
    }
    let whole = if whole.is_empty() { 0 } else { decimal(whole)? };
    let mut micros: u64 = 0;
    for at in 0..5 {
        micros = micros * 10 + part.get(at).map_or(0, |digit| u64::from(digit - b'0'));
    }
    whole.checked_mul(100_000).and_then(|n| n.checked_add(micros)).ok_or(Malformed::Overflow)
}

/// A set of CPUs or memory nodes, as ranges that neither touch nor overlap: two lists that mean the same set have the same
/// ranges, however they were written.
#[derive(Debug)]
pub struct Set(Vec<(u64, u64)>);

impl Set {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Set) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|range| other.0.contains(range))
    }
}

/// The list format of cpuset(7): `0-4,9`. An empty list is the empty set.
pub fn list(bytes: &[u8]) -> Result<Set, Malformed> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    if bytes.is_empty() {
        return Ok(Set(ranges));
    }
    for range in split(bytes, b',') {
        let (low, high) = split_at(range, b'-').unwrap_or((range, range));
        let (mut low, mut high) = (decimal(low)?, decimal(high)?);
        if low > high {
            return Err(Malformed::Form);
        }
        // Those that it touches become part of it.
        ranges.retain(|&(from, to)| {
            let apart = to < low.saturating_sub(1) || from > high.saturating_add(1);
            if !apart {
                (low, high) = (low.min(from), high.max(to));
            }
            apart
        });
        ranges.push((low, high));
    }
    Ok(Set(ranges))
}

/// What is before the first `divider`, what is between it and the next one, and so on: see [`split`].
pub struct Parts<'a> {
    rest: Option<&'a [u8]>,
    divider: u8,
}

/// The parts of `bytes` between `divider`s; without one, there is one part. One type for all, so one code.
pub fn split(bytes: &[u8], divider: u8) -> Parts<'_> {
    Parts { rest: Some(bytes), divider }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest?;
        let (part, rest) = match split_at(bytes, self.divider) {
            Some((part, rest)) => (part, Some(rest)),
            None => (bytes, None),
        };
        self.rest = rest;
        Some(part)
    }
}

/// What is before the first `divider`, and what is after it.
pub fn split_at(bytes: &[u8], divider: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&b| b == divider)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// The parts, joined, as the kernel takes a string. It stays until the process ends; a NUL among the parts would end it.
pub fn c_string(parts: &[&[u8]]) -> &'static CStr {
    let mut joined = Vec::new();
    for part in parts {
        joined.put(part);
    }
    joined.put(b"\0");
    CStr::from_bytes_until_nul(joined.leak()).unwrap_or_default()
}

/// `bytes` without the blanks and newlines around them, as files under /proc and /sys end their lines.
pub fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Where `part` stands in a list whose parts each end with `end`: its first byte, and how many parts come before it. For
/// the compiler: a part that is not there does not compile.
pub const fn place(list: &[u8], end: u8, part: &[u8]) -> (u16, u16) {
    let (mut start, mut before) = (0, 0);
    loop {
        let mut same = 0;
        while same < part.len() && list[start + same] == part[same] {
            same += 1;
        }
        if same == part.len() && list[start + same] == end {
            return (start as u16, before);
        }
        while list[start] != end {
            start += 1;
        }
        (start, before) = (start + 1, before + 1);
    }
}

/// The words of `bytes`, split at blanks and newlines.
pub fn words(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || take_word(&mut bytes))
}

#[inline(never)]
fn take_word<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let rest = bytes.trim_ascii_start();
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end)?;
    *bytes = after;
    Some(word).filter(|word| !word.is_empty())
}

/// The value after `key` in a file of `key value` lines, such as `memory.events` or `/proc/PID/status`.
pub fn field<'a>(file: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    split(file, b'\n').find_map(|line| {
        let value = line.strip_prefix(key)?;
        value.first().filter(|b| b.is_ascii_whitespace())?;
        Some(trimmed(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// xorshift64: enough for comparing with an oracle, and the same on every run.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn numbers_print_as_std_prints_them() {
        let mut state = 7;
        for shift in 0..64 {
            for n in [0, 1, u64::MAX >> shift, random(&mut state) >> shift] {
                assert_eq!(put(|out| out.put_decimal(n)), n.to_string());
                assert_eq!(put(|out| out.put_hex(n)), format!("{n:#x}"));
            }
        }
    }

    #[test]
    fn text_is_cut_where_it_ends() {
        let mut text = Text::<8>::new();
        text.put(b"12345678");
        assert_eq!(text.as_bytes(), b"12345678");
        text.put(b"9");
        assert_eq!(text.as_bytes(), b"12345...");
        text.cut(8);
        assert_eq!(text.as_bytes(), b"12345...");
        text.cut(6);
        assert_eq!(text.as_bytes(), b"123...");
        assert_eq!(Text::<32>::quoted(&[b"a\n", b"\x01\"\\"]).as_bytes(), br#""a\n\001\"\\""#);
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
            ("1mb", Err(Malformed::Form)),
            ("-1", Err(Malformed::Form)),
            ("+1", Err(Malformed::Form)),
            ("1.5g", Err(Malformed::Form)),
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
        let number = lower.trim_end_matches(['b', 'k', 'm', 'g', 't']);
        let unit = match &lower[number.len()..] {
            "" | "b" => 1u128,
            "k" => 1024,
            "m" => 1024 * 1024,
            "g" => 1024 * 1024 * 1024,
            "t" => 1024 * 1024 * 1024 * 1024,
            _ => return Err(Malformed::Form),
        };
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return Err(Malformed::Form);
        }
        match number.parse::<u128>().ok().and_then(|n| n.checked_mul(unit)) {
            Some(n) if n <= i64::MAX as u128 => Ok(n as u64),
            _ => Err(Malformed::Overflow),
        }
    }

    #[test]
    fn sizes_agree_with_the_oracle() {
        let mut state = 99;
        let alphabet = b"0123456789999bkmgtBKMGT-. x";
        let mut taken = 0;
        for _ in 0..200_000 {
            let digits = random(&mut state) % 22;
            let mut text: String = (0..digits).map(|_| (b'0' + (random(&mut state) % 10) as u8) as char).collect();
            for _ in 0..random(&mut state) % 3 {
                text.push(alphabet[random(&mut state) as usize % alphabet.len()] as char);
            }
            taken += u32::from(size(text.as_bytes()).is_ok());
            assert_eq!(size(text.as_bytes()), size_oracle(&text), "{text:?}");
        }
        assert!(taken > 10_000, "only {taken} of the random sizes were sizes");
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
        for bad in ["a", "1-", "-1", "3-1", ",", "1,,2", "1 2", "1;2"] {
            assert_eq!(list(bad.as_bytes()), Err(Malformed::Form), "{bad:?}");
        }
    }

    #[test]
    fn random_lists_agree_with_a_set_of_numbers() {
        let mut state = 5;
        for _ in 0..5_000 {
            let ranges: Vec<(u64, u64)> = (0..random(&mut state) % 6)
                .map(|_| {
                    let low = random(&mut state) % 20;
                    (low, low + random(&mut state) % 4)
                })
                .collect();
            let text: Vec<String> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
            let numbers: std::collections::BTreeSet<u64> = ranges.iter().flat_map(|&(low, high)| low..=high).collect();
            let one_by_one: Vec<String> = numbers.iter().map(u64::to_string).collect();
            assert_eq!(list(text.join(",").as_bytes()), list(one_by_one.join(",").as_bytes()));
        }
    }

    #[test]
    fn parts() {
        let parts = |text: &'static [u8]| split(text, b',').collect::<Vec<_>>();
        for text in ["", ",", "a", "a,", ",a", "a,,b", "a,b,c"] {
            assert_eq!(parts(text.as_bytes()), text.split(',').map(str::as_bytes).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn fields() {
        let file = b"low 0\noom 3\noom_kill 2\nSigCgt:\t00ff\n";
        assert_eq!(field(file, b"oom"), Some(&b"3"[..]));
        assert_eq!(field(file, b"oom_kill"), Some(&b"2"[..]));
        assert_eq!(field(file, b"SigCgt:"), Some(&b"00ff"[..]));
        assert_eq!(field(file, b"high"), None);
    }
}
