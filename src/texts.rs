//! Texts that are read rarely and long: the helps, what each step does, the names of errnos. In the file they take half the
//! room: build.rs has put one byte that no text has for a pair of bytes that comes often, and again for pairs of such.

use crate::text::{self, Put};
use alloc::vec::Vec;

/// A text, packed: each line for itself, and what tabs divide in it.
pub struct Packed(&'static [u8]);

/// What stands for what: two bytes, which may be such themselves, for each byte that is neither printable ASCII nor a tab or
/// a newline.
static PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pairs"));

/// `mydocker --help`
pub static HELP: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/help")));

/// The help of `run`, and the one table of its options: each has a line that begins with two blanks. First come its names;
/// the first of the long ones is mydocker's own and the one that argh knows. Then, in capitals or as the words that can be
/// chosen from, the value if it takes one, with `...` if it can be given many times, and as `[=VALUE]` if it can be left out.
/// What explains is behind two blanks in the file, and behind a tab here.
pub static RUN: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/run")));

/// A line for each step, in the order of its variants: why; the calls that it makes, as strace would show what matters in
/// them; and the same as a shell command: `#` where the shell cannot, nothing where it need not. `%1` to `%5` stand for what
/// the step is about. Tabs divide.
pub static STEPS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/steps")));

/// The lines of `mydocker check`: what each is about; the options of a run that shows it, or what else does; and what to do
/// where it fails and its message does not tell.
pub static TRIALS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/trials")));

/// What an errno means where its name misleads: calls, errnos, and what is said.
pub static HINTS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/hints")));

/// On line n, counted from 0, `NAME (description)` of errno n; nothing where there is none.
pub static ERRNOS: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/errnos")));

/// Where explanations begin.
const COLUMN: usize = 39;

/// A line of [`MESSAGES`]: `says!("text")` is the one that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message(u16);

/// What messages say: build.rs has found every `says!` in the source.
static MESSAGES: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/messages")));

/// The same as it is, for the compiler alone.
const PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/messages.plain"));

/// What a message says, kept packed: two bytes in the place of the text.
#[macro_export]
macro_rules! says {
    ($text:literal) => {
        const { $crate::texts::Message::saying($text) }
    };
}

impl Message {
    /// Says nothing: the first line is empty.
    pub const NONE: Message = Message(0);

    /// The one that says `text`.
    pub const fn saying(text: &str) -> Message {
        Message(text::place(PLAIN, b'\n', text.as_bytes()).1)
    }

    /// Puts what it says.
    pub fn put(self, out: &mut dyn Put) {
        MESSAGES.put_line(self.0.into(), out);
    }
}

impl Packed {
    /// The whole text.
    pub fn unpack(&self) -> Vec<u8> {
        let mut text = Vec::new();
        put(self.0, &mut text);
        text
    }

    /// The whole text, as it is printed: with blanks for a tab.
    pub fn printed(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut line = 0;
        for byte in self.0 {
            if *byte == b'\t' {
                while text.len() - line < COLUMN {
                    text.put(b" ");
                }
            } else {
                expand(*byte, &mut text);
            }
            if *byte == b'\n' {
                line = text.len();
            }
        }
        text
    }

    /// Its lines, packed.
    pub fn lines(&self) -> impl Iterator<Item = &'static [u8]> {
        text::split(self.0, b'\n')
    }

    /// Puts line `number`, counted from 0, without its end. Whether there is something in it.
    pub fn put_line(&self, number: usize, out: &mut dyn Put) -> bool {
        let line = self.lines().nth(number).unwrap_or_default();
        put(line, out);
        !line.is_empty()
    }
}

/// Puts a part of a text.
pub fn put(packed: &[u8], out: &mut dyn Put) {
    packed.iter().for_each(|byte| expand(*byte, out));
}

fn expand(byte: u8, out: &mut dyn Put) {
    let code = match byte {
        ..9 => byte,
        11..32 => byte - 2,
        127.. => byte - 97,
        _ => return out.put(&[byte]),
    };
    put(PAIRS.get(2 * usize::from(code)..).and_then(|pairs| pairs.get(..2)).unwrap_or_default(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out() {
        for (packed, text) in [
            (&HELP, include_str!("texts/help")),
            (&RUN, include_str!("texts/run")),
            (&TRIALS, include_str!("texts/trials")),
            (&HINTS, include_str!("texts/hints")),
        ] {
            assert_eq!(String::from_utf8(packed.printed()).unwrap(), text);
            assert!(packed.0.len() < text.len() * 2 / 3, "{} of {}", packed.0.len(), text.len());
        }
        let line = |packed: &Packed, number| {
            let mut line = Vec::new();
            packed.put_line(number, &mut line).then(|| String::from_utf8(line).unwrap())
        };
        for (number, text) in include_str!("texts/trials").lines().enumerate() {
            assert_eq!(line(&TRIALS, number).unwrap(), text);
        }
        assert_eq!(line(&ERRNOS, 13).unwrap(), "EACCES (Permission denied)");
        assert!([0, 41, 4000].iter().all(|number| line(&ERRNOS, *number).is_none()));
    }
}
