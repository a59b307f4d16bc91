//! Texts that are read rarely and long: the helps, what each step does, the names of errnos. In the file they take half the
//! room: build.rs has put one byte above ASCII for a pair of bytes that comes often, and again for pairs of such.

use crate::text::Put;
use alloc::vec::Vec;

/// A text, packed.
pub struct Packed(&'static [u8]);

/// What stands for what: byte 128 + n for the n-th pair, of which each may be one such byte.
static PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pairs"));

/// `mydocker --help`
pub static HELP: Packed = Packed(include_bytes!(concat!(env!("OUT_DIR"), "/help")));

/// The help of `run`, and the one table of its options: each has a line that begins with two blanks. First come its names;
/// the first of the long ones is mydocker's own and the one that argh knows. Then, in capitals or as the words that can be
/// chosen from, the value if it takes one, with `...` if it can be given many times, and as `[=VALUE]` if it can be left out.
/// What is behind two blanks explains.
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

impl Packed {
    /// The whole text.
    pub fn unpack(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.each(&mut |byte| text.push(byte));
        text
    }

    /// Puts line `number`, counted from 0, without its end. Whether there is something in it.
    pub fn put_line(&self, number: usize, out: &mut dyn Put) -> bool {
        let mut at = 0;
        let mut found = false;
        self.each(&mut |byte| match byte {
            b'\n' => at += 1,
            byte if at == number => {
                out.put(&[byte]);
                found = true;
            }
            _ => {}
        });
        found
    }

    /// Gives the bytes of the text, one after the other.
    fn each(&self, f: &mut dyn FnMut(u8)) {
        self.0.iter().for_each(|byte| expand(*byte, f));
    }
}

fn expand(byte: u8, f: &mut dyn FnMut(u8)) {
    match byte.checked_sub(128) {
        None => f(byte),
        Some(pair) => {
            for byte in PAIRS.iter().skip(2 * usize::from(pair)).take(2) {
                expand(*byte, f);
            }
        }
    }
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
            assert_eq!(String::from_utf8(packed.unpack()).unwrap(), text);
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
