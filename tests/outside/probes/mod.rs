//! The probes: programs that run inside and print what they see. Each prints plain lines, or acts and reports success
//! with its exit status. They run without std's start-up code, so they see exactly what mydocker gave them.
//!
//! A probe is registered where it stands, with one line:
//!
//!     probe!("eat", |words| eat(words.number(0)));

use crate::support::harness::{mydocker_file, probe_file};
use std::ffi::{CString, OsStr, OsString};
use std::io::Write;

/// Registers a probe: its name, and a closure that takes its [`Words`] and returns nothing, or its exit status.
macro_rules! probe {
    ($name:literal, $run:expr) => {
        inventory::submit! {
            $crate::probes::Probe {
                name: $name,
                run: |words| {
                    let run: fn($crate::probes::Words) -> _ = $run;
                    $crate::probes::ExitStatus::number(run(words))
                },
            }
        }
    };
}

mod acts;
pub mod facts;
pub mod own_mounts;
pub mod own_network;
mod privilege;
mod questions;
pub mod races;
pub mod root;
mod signals;
pub mod terminal;

/// One probe: its name on the command line, and its function, which returns the exit status.
pub struct Probe {
    pub name: &'static str,
    pub run: fn(Words) -> i32,
}

inventory::collect!(Probe);

/// What a probe returns: its own exit status, or `()` for 0.
pub trait ExitStatus {
    fn number(self) -> i32;
}

impl ExitStatus for () {
    fn number(self) -> i32 {
        0
    }
}

impl ExitStatus for i32 {
    fn number(self) -> i32 {
        self
    }
}

/// The words that a probe is called with.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// The whole command line.
    pub line: &'a [OsString],
    /// The words after the probe's name.
    pub rest: &'a [OsString],
}

impl<'a> Words<'a> {
    /// The word at `index` after the name, or an empty word if the line is shorter.
    pub fn text(self, index: usize) -> &'a str {
        self.rest.get(index).and_then(|word| word.to_str()).unwrap_or_default()
    }

    pub fn number(self, index: usize) -> usize {
        self.text(index).parse().expect("a number")
    }
}

/// Runs the probe that the third word names, after `outside --probe`, and returns its exit status.
pub fn run_and_flush(words: &[OsString]) -> i32 {
    let name = words.get(2).map(OsString::as_os_str).unwrap_or_default();
    let status = run(name, Words { line: words, rest: &words[3.min(words.len())..] });
    // std's start-up code, which would flush at exit, does not run here.
    std::io::stdout().flush().expect("flush");
    status
}

/// Runs the probe that is called `name`.
pub fn run(name: &OsStr, words: Words) -> i32 {
    let mut named = inventory::iter::<Probe>().filter(|probe| name == probe.name);
    let probe = named.next();
    assert!(named.next().is_none(), "two probes are called {name:?}");
    (probe.unwrap_or_else(|| panic!("no probe is called {name:?}")).run)(words)
}

/// Runs a probe on the host, which prints `checked` at its end. A failed check is a panic of the probe.
pub fn check_on_host(words: &[&str]) {
    let outcome = std::process::Command::new(probe_file())
        .args(words)
        .env("MYDOCKER", mydocker_file())
        .output()
        .expect("start of a probe on the host");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(outcome.status.success(), "{words:?}: {}{}", text(&outcome.stdout), text(&outcome.stderr));
    assert_eq!(text(&outcome.stdout), "checked\n", "{words:?}");
}

/// Prints the parts and a newline, as bytes.
pub fn line(parts: &[&[u8]]) {
    let mut out = std::io::stdout().lock();
    parts.iter().for_each(|part| out.write_all(part).expect("write"));
    out.write_all(b"\n").expect("write");
    out.flush().expect("flush");
}

/// A C string for code between fork and exec, which must not allocate.
pub fn c_string(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}
