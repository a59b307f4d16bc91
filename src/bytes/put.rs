//! Writing text without `core::fmt`: the trait, and the two kinds of buffer that implement it.

use alloc::vec::Vec;
use core::ffi::CStr;

/// A buffer that bytes are appended to: a `Vec<u8>`, which grows, or a [`FixedBytes`], which cuts.
pub trait Sink {
    /// Appends `bytes`.
    fn append(&mut self, bytes: &[u8]);
}

/// What can be written to a [`Sink`].
pub trait Put {
    /// The buffer, whichever it is: what writes to it is then compiled once.
    fn sink(&mut self) -> &mut dyn Sink;

    /// Appends `bytes` as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Appends `n` in decimal.
    fn put_decimal(&mut self, n: u64);

    /// Appends `n` in hexadecimal, as C and strace write it: `0x1f`, `0x0`.
    fn put_hex(&mut self, n: u64);

    /// Appends `n` in octal, as C and strace write it: `0755`, `0`.
    fn put_octal(&mut self, n: u64);

    /// Appends `bytes`; quotes, backslashes and what a terminal would obey become escapes of C: `\n`, `\"`, `\033`; so do bytes
    /// that are not UTF-8.
    fn put_escaped(&mut self, bytes: &[u8]);

    /// Appends what [`put_escaped`](Put::put_escaped) has escaped. An escape that has been cut is left out.
    fn put_unescaped(&mut self, text: &[u8]);

    /// Appends the parts, joined and escaped, as one string in double quotes.
    fn put_quoted(&mut self, parts: &[&[u8]]);

    /// Appends `bytes`, then blanks until `width` bytes are written.
    fn put_column(&mut self, bytes: &[u8], width: usize);

    /// Appends a decimal number, with zeros before it until it has `width` digits.
    fn put_padded(&mut self, n: u64, width: usize);

    /// Appends a time, given in microseconds, as seconds with six digits after the point: `1.000250`.
    fn put_seconds(&mut self, micros: u64);

    /// Appends a JSON string, with its quotes (RFC 8259, section 7). JSON is UTF-8: in `bytes` that are not, every byte
    /// from 0x80 on becomes U+FFFD.
    fn put_json(&mut self, bytes: &[u8]);
}

/// The methods of [`Put`], which are the same for every type that is a [`Sink`] and for `dyn Sink`.
macro_rules! put_by_sink {
    () => {
        fn sink(&mut self) -> &mut dyn Sink {
            self
        }

        fn put(&mut self, bytes: &[u8]) {
            self.sink().append(bytes);
        }

        fn put_decimal(&mut self, n: u64) {
            put_digits(self.sink(), n, 10, 1);
        }

        fn put_hex(&mut self, n: u64) {
            self.put(b"0x");
            put_digits(self.sink(), n, 16, 1);
        }

        fn put_octal(&mut self, n: u64) {
            self.put(b"0");
            put_digits(self.sink(), n, 8, 0);
        }

        fn put_escaped(&mut self, bytes: &[u8]) {
            put_escaped(self.sink(), bytes);
        }

        fn put_unescaped(&mut self, text: &[u8]) {
            put_unescaped(self.sink(), text);
        }

        fn put_quoted(&mut self, parts: &[&[u8]]) {
            put_quoted(self.sink(), parts);
        }

        fn put_column(&mut self, bytes: &[u8], width: usize) {
            put_column(self.sink(), bytes, width);
        }

        fn put_padded(&mut self, n: u64, width: usize) {
            put_digits(self.sink(), n, 10, width);
        }

        fn put_seconds(&mut self, micros: u64) {
            self.put_decimal(micros / 1_000_000);
            self.put(b".");
            self.put_padded(micros % 1_000_000, 6);
        }

        fn put_json(&mut self, bytes: &[u8]) {
            put_json(self.sink(), bytes);
        }
    };
}

impl<S: Sink> Put for S {
    put_by_sink!();
}

impl Put for dyn Sink + '_ {
    put_by_sink!();
}

/// `n` in decimal.
pub fn to_decimal(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_decimal(n);
    out
}

/// Appends the digits of `n` to this base, 8 to 16, and zeros before them so that there are `least` digits.
fn put_digits(out: &mut dyn Sink, n: u64, base: u64, least: usize) {
    // As many as the largest number has to the smallest base.
    let mut digits = [b'0'; 22];
    let mut start = digits.len() - least;
    let mut rest = n;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        if rest == 0 {
            break;
        }
        *digit = DIGITS[(rest % base) as usize % 16];
        rest /= base;
        start = start.min(at);
    }
    out.put(digits.get(start..).unwrap_or_default());
}

fn put_escaped(out: &mut dyn Sink, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let text = core::str::from_utf8(rest)
            .or_else(|e| core::str::from_utf8(rest.get(..e.valid_up_to()).unwrap_or_default()));
        for character in text.unwrap_or_default().chars() {
            let (own, after) = rest.split_at_checked(character.len_utf8()).unwrap_or_default();
            rest = after;
            match character {
                '\n' => out.put(b"\\n"),
                '\t' => out.put(b"\\t"),
                '"' => out.put(b"\\\""),
                '\\' => out.put(b"\\\\"),
                _ if commands_a_terminal(character) => put_octal_escapes(out, own),
                _ => out.put(own),
            }
        }
        // What is left begins with a byte that is not UTF-8.
        let Some((first, after)) = rest.split_first() else { return };
        put_octal_escapes(out, &[*first]);
        rest = after;
    }
}

/// Whether a terminal does something else with a character than to show it: the controls, those of ISO 6429 (C1) too, and the
/// marks that turn the order of letters around (Unicode Standard Annex 9).
pub fn commands_a_terminal(character: char) -> bool {
    matches!(character, '\0'..'\x20' | '\x7f'..'\u{a0}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn put_octal_escapes(out: &mut dyn Sink, bytes: &[u8]) {
    for byte in bytes {
        out.put(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
    }
}

fn put_unescaped(out: &mut dyn Sink, text: &[u8]) {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..]) => {
                out.put(&[(high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0')]);
                rest = after.get(3..).unwrap_or_default();
            }
            (b'\\', [letter @ (b'n' | b't' | b'"' | b'\\'), ..]) => {
                out.put(match letter {
                    b'n' => b"\n",
                    b't' => b"\t",
                    other => core::slice::from_ref(other),
                });
                rest = after.get(1..).unwrap_or_default();
            }
            (b'\\', _) => {
                let digits = after.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                rest = after.get(digits..).unwrap_or_default();
            }
            _ => out.put(core::slice::from_ref(first)),
        }
    }
}

fn put_quoted(out: &mut dyn Sink, parts: &[&[u8]]) {
    out.put(b"\"");
    for part in parts {
        out.put_escaped(part);
    }
    out.put(b"\"");
}

fn put_column(out: &mut dyn Sink, bytes: &[u8], width: usize) {
    out.put(bytes);
    for _ in bytes.len()..width {
        out.put(b" ");
    }
}

fn put_json(out: &mut dyn Sink, bytes: &[u8]) {
    out.put(b"\"");
    match core::str::from_utf8(bytes) {
        Ok(text) => text.chars().for_each(|character| put_json_character(out, character)),
        Err(_) => bytes.iter().for_each(|byte| {
            put_json_character(out, if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER });
        }),
    }
    out.put(b"\"");
}

fn put_json_character(out: &mut dyn Sink, character: char) {
    match character {
        '"' | '\\' => out.put(&[b'\\', character as u8]),
        // All of these have at most four digits.
        _ if commands_a_terminal(character) => {
            out.put(b"\\u");
            put_digits(out, character.into(), 16, 4);
        }
        _ => out.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The hexadecimal digits.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Sink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Up to `N` bytes of text (`3 < N < 65536`) stored in place, without the heap. Text that does not fit is cut, and then
/// ends with `...`. All but those of tests have the same size, so that what writes to one is compiled once.
#[derive(Clone, Copy)]
pub struct FixedBytes<const N: usize = 200> {
    len: u16,
    bytes: [u8; N],
}

impl<const N: usize> FixedBytes<N> {
    /// An empty buffer.
    pub const fn new() -> Self {
        const { assert!(N > 3 && N <= u16::MAX as usize) }
        FixedBytes { len: 0, bytes: [0; N] }
    }

    /// A buffer with the parts, joined and escaped, in double quotes.
    pub fn quoted(parts: &[&[u8]]) -> Self {
        let mut buffer = Self::new();
        buffer.put_quoted(parts);
        buffer
    }

    /// A buffer with `bytes` as they are.
    pub fn plain(bytes: &[u8]) -> Self {
        let mut buffer = Self::new();
        buffer.put(bytes);
        buffer
    }

    /// The text as a C string. `None` unless a NUL was put at its end, and nowhere else.
    pub fn as_c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.as_bytes()).ok()
    }

    /// Shortens a text of more than `len` bytes to `len`, of which the last three are then `...`.
    pub fn cut(&mut self, len: u16) {
        if self.len > len {
            self.len = self.begin_of_character(usize::from(len.saturating_sub(3))) as u16;
            self.put(b"...");
        }
    }

    /// Where the character of UTF-8 begins that has a byte at `at`: it is cut before that.
    fn begin_of_character(&self, mut at: usize) -> usize {
        while at > 0 && self.bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            at -= 1;
        }
        at
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> Default for FixedBytes<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Sink for FixedBytes<N> {
    fn append(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        for (slot, byte) in room.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        let is_cut = bytes.len() > room.len();
        self.len += bytes.len().min(room.len()) as u16;
        if is_cut {
            let at = self.begin_of_character(N - 3);
            self.bytes.get_mut(at..).unwrap_or_default().fill(b'.');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn numbers_print_as_std_prints_them(n in any::<u64>(), shift in 0u32..64) {
            for n in [n >> shift, u64::MAX >> shift, 1 << shift] {
                prop_assert_eq!(put(|out| out.put_decimal(n)), n.to_string());
                prop_assert_eq!(to_decimal(n), n.to_string().into_bytes());
                prop_assert_eq!(put(|out| out.put_hex(n)), format!("{n:#x}"));
                let octal = if n == 0 { "0".to_string() } else { format!("0{n:o}") };
                prop_assert_eq!(put(|out| out.put_octal(n)), octal);
                let seconds = format!("{}.{:06}", n / 1_000_000, n % 1_000_000);
                prop_assert_eq!(put(|out| out.put_seconds(n)), seconds);
            }
        }

        #[test]
        fn json_is_read_back_by_serde(text in any::<String>()) {
            let json = put(|out| out.put_json(text.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn what_is_escaped_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut back = Vec::new();
            back.put_unescaped(put(|out| out.put_escaped(&bytes)).as_bytes());
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn fixed_bytes_agree_with_a_vector(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..7), 0..6)) {
            let mut fixed = FixedBytes::<16>::new();
            parts.iter().for_each(|part| fixed.put(part));
            let whole = parts.concat();
            if whole.len() <= 16 {
                prop_assert_eq!(fixed.as_bytes(), whole);
            } else {
                let begins = |at: &usize| whole[*at] & 0xc0 != 0x80;
                let mut cut = whole[..(1..=13).rev().find(begins).unwrap_or(0)].to_vec();
                cut.resize(16, b'.');
                prop_assert_eq!(fixed.as_bytes(), cut);
            }
        }
    }

    #[test]
    fn zero_has_one_digit() {
        assert_eq!(put(|out| out.put_decimal(0)), "0");
        assert_eq!(put(|out| out.put_hex(0)), "0x0");
        assert_eq!(put(|out| out.put_octal(0)), "0");
        assert_eq!(put(|out| out.put_octal(0o755)), "0755");
    }

    #[test]
    fn columns() {
        assert_eq!(put(|out| out.put_column(b"ab", 4)), "ab  ");
        assert_eq!(put(|out| out.put_column(b"abcde", 4)), "abcde");
    }

    #[test]
    fn json_of_bytes_that_are_not_utf8() {
        assert_eq!(put(|out| out.put_json(b"a\xff\"\\\n\x1f")), "\"a\u{fffd}\\\"\\\\\\u000a\\u001f\"");
    }

    #[test]
    fn escapes_that_have_been_cut() {
        for text in ["a...", "a\\...", "a\\0...", "a\\03..."] {
            assert_eq!(put(|out| out.put_unescaped(text.as_bytes())), "a...", "{text}");
        }
    }

    #[test]
    fn works_through_a_trait_object() {
        let mut fixed = FixedBytes::<32>::new();
        let out: &mut dyn Sink = &mut fixed;
        out.put_decimal(7);
        out.put_quoted(&[b"a", b"\t"]);
        assert_eq!(fixed.as_bytes(), br#"7"a\t""#);
    }

    #[test]
    fn fixed_bytes_are_cut_at_their_end() {
        let mut text = FixedBytes::<8>::new();
        text.put(b"12345678");
        assert_eq!(text.as_bytes(), b"12345678");
        text.put(b"9");
        assert_eq!(text.as_bytes(), b"12345...");
        text.cut(8);
        assert_eq!(text.as_bytes(), b"12345...");
        text.cut(6);
        assert_eq!(text.as_bytes(), b"123...");
        // A character stays whole, or is left out.
        for (text, cut) in
            [("abcd\u{e9}fgh", "abcd...."), ("abc\u{1f40b}fg", "abc....."), ("abcde\u{e9}fg", "abcde...")]
        {
            assert_eq!(FixedBytes::<8>::plain(text.as_bytes()).as_bytes(), cut.as_bytes());
        }
        let mut cut = FixedBytes::<32>::plain("abcd\u{e9}fgh".as_bytes());
        cut.cut(8);
        assert_eq!(cut.as_bytes(), b"abcd...");
        assert_eq!(FixedBytes::<32>::quoted(&[b"a\n", b"\x01\"\\"]).as_bytes(), br#""a\n\001\"\\""#);
    }

    #[test]
    fn c_strings_need_a_nul_at_their_end() {
        assert_eq!(FixedBytes::<8>::plain(b"a\0").as_c_str(), Some(c"a"));
        assert_eq!(FixedBytes::<8>::plain(b"a").as_c_str(), None);
        assert_eq!(FixedBytes::<8>::plain(b"a\0b\0").as_c_str(), None);
    }
}
