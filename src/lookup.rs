//! From the command's first word to a running program: PATH as execvp(3) searches it, but with reasons when it fails.
//! All of this runs in the child: it allocates nothing.

use crate::error::{Errno, Error, Kind};
use crate::says;
use crate::sys::{self, Pointers};
use crate::text;
use crate::texts::Message;
use core::ffi::CStr;

/// What is to be executed.
pub struct Command {
    /// The words, each with a NUL after it.
    pub words: &'static [u8],
    /// Room for as many bytes, for the one-word command that is split at its blanks.
    pub spare: &'static mut [u8],
    /// Room for as many pointers as either has words.
    pub argv: Pointers,
    /// The environment.
    pub envp: Pointers,
    /// Where to look for a word without a slash.
    pub path: &'static [u8],
}

/// Becomes the command; returns only the reason why not.
pub fn exec(command: Command) -> Error {
    let Command { words, spare, mut argv, envp, path } = command;
    let Some(whole) = fill(&mut argv, words) else { return not_found(c"") };
    let error = search(whole, path, &argv, &envp);
    let single = argv.len() == 1;
    if !(single && is_not_found(error) && whole.to_bytes().iter().any(is_blank)) {
        return error;
    }
    // The old way, `run "ls -l"`: only after nothing has the whole name.
    let mut after_blank = true;
    let mut len = 0;
    for &byte in whole.to_bytes_with_nul() {
        let end = is_blank(&byte) || byte == 0;
        if !(end && after_blank)
            && let Some(slot) = spare.get_mut(len)
        {
            *slot = if end { 0 } else { byte };
            len += 1;
        }
        after_blank = end;
    }
    let spare: &'static [u8] = spare;
    match fill(&mut argv, spare.get(..len).unwrap_or_default()) {
        None => error,
        Some(first) => match search(first, path, &argv, &envp) {
            other if is_not_found(other) => error,
            other => other,
        },
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// How many words `exec` may make of `words`, at most: what `argv` needs room for.
pub fn most_words(words: &[u8]) -> usize {
    words.iter().filter(|byte| **byte == 0 || is_blank(byte)).count()
}

/// Points at each word; returns the first.
fn fill(argv: &mut Pointers, words: &'static [u8]) -> Option<&'static CStr> {
    argv.clear();
    let mut first = None;
    let mut rest = words;
    while let Ok(word) = CStr::from_bytes_until_nul(rest) {
        first = first.or(Some(word));
        if !argv.push(word) {
            return None;
        }
        rest = rest.get(word.count_bytes() + 1..).unwrap_or_default();
    }
    first
}

/// There is no such file, for one reason or another.
const NOWHERE: [Errno; 4] = [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::ENAMETOOLONG];

/// Tries the word as a path if it has a slash, else in each directory of PATH. An empty one is the working directory.
fn search(word: &CStr, path: &[u8], argv: &Pointers, envp: &Pointers) -> Error {
    if word.is_empty() {
        return not_found(word);
    }
    if word.to_bytes().contains(&b'/') {
        return match sys::execve(word, argv, envp) {
            e if e.is_one_of(&NOWHERE) && !sys::exists(word) => not_found(word),
            e => explain(word, e),
        };
    }
    // First as fast as it goes; only when nothing was executed, again for the reason.
    for looking_for_the_reason in [false, true] {
        for dir in text::split(path, b':') {
            let mut buffer = Text4096::new();
            let Some(candidate) = buffer.join(dir, word) else { continue };
            if looking_for_the_reason && !sys::exists(candidate) {
                continue;
            }
            let error = sys::execve(candidate, argv, envp);
            let passed_over = error.is(Errno::EACCES) || error.is_one_of(&NOWHERE);
            if looking_for_the_reason || !passed_over {
                return explain(candidate, error);
            }
        }
    }
    not_found(word)
}

fn not_found(word: &CStr) -> Error {
    Error::not_found(word.to_bytes())
}

fn is_not_found(error: Error) -> bool {
    error.cause().kind == Kind::NotFound
}

/// A path buffer in the child's stack.
struct Text4096([u8; libc::PATH_MAX as usize]);

impl Text4096 {
    fn new() -> Self {
        Text4096([0; libc::PATH_MAX as usize])
    }

    /// `dir/word`; `None` if it is too long to be a path.
    fn join(&mut self, dir: &[u8], word: &CStr) -> Option<&CStr> {
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        let mut rest = self.0.as_mut_slice();
        for part in &[dir, slash, word.to_bytes_with_nul()] {
            let (place, after) = rest.split_at_mut_checked(part.len())?;
            place.copy_from_slice(part);
            rest = after;
        }
        CStr::from_bytes_until_nul(&self.0).ok()
    }
}

/// Says what errno does not: which interpreter is missing, which machine it was built for, what it is instead.
fn explain(file: &CStr, error: Error) -> Error {
    let mut head = [0u8; 4096];
    if error.is(Errno::EACCES) {
        return match (sys::is_directory(file), sys::is_executable(file)) {
            (true, _) => error.with_hint(says!("a directory")),
            (false, true) => error.with_hint(says!("no execute permission for its interpreter")),
            (false, false) => error.with_hint(says!("no execute permission, by its mode or by its mount (noexec)")),
        };
    }
    let Ok(head) = sys::read_up_to(None, file, &mut head) else { return error };
    if error.is(Errno::ENOEXEC) {
        return match machine(head) {
            Some(name) => error.with_hint(name),
            None if head.is_empty() => error.with_hint(says!("an empty file")),
            None => error,
        };
    }
    match interpreter(head) {
        Some(interpreter) if error.is(Errno::ENOENT) => Error::interpreter(file.to_bytes(), interpreter),
        _ => error,
    }
}

/// The interpreter of a script's `#!` line, or of an ELF file's PT_INTERP; elf(5), execve(2).
fn interpreter(head: &[u8]) -> Option<&[u8]> {
    if let Some(line) = head.strip_prefix(b"#!") {
        // As the kernel has it: a carriage return is part of the name.
        let line = line.split(|&b| b == b'\n' || b == 0).next()?;
        return line.split(is_blank).find(|word| !word.is_empty());
    }
    head.strip_prefix(b"\x7fELF\x02")?;
    let half = |at: usize| Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?) as usize);
    let (table, size, count) = (long(32)?, usize::from(half(54)?), usize::from(half(56)?));
    for header in 0..count {
        let at = table.checked_add(header.checked_mul(size)?)?;
        let kind = head.get(at..)?.get(..4)?;
        if kind == 3u32.to_ne_bytes() {
            let (offset, len) = (long(at.checked_add(8)?)?, long(at.checked_add(32)?)?);
            return head.get(offset..)?.get(..len).and_then(|name| text::split(name, 0).next());
        }
    }
    None
}

/// e_machine of this machine's own programs, elf(5).
const OWN_MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

/// For an ELF file that cannot be executed: which machine it was built for, as a hint.
fn machine(head: &[u8]) -> Option<Message> {
    head.strip_prefix(b"\x7fELF")?;
    let little = *head.get(5)? != 2;
    let number: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    Some(match if little { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) } {
        own if own == OWN_MACHINE => says!("damaged: its header does not hold together"),
        3 => says!("built for another machine (i386)"),
        8 => says!("built for another machine (mips)"),
        20 | 21 => says!("built for another machine (powerpc)"),
        22 => says!("built for another machine (s390)"),
        40 => says!("built for another machine (arm)"),
        62 | 183 => {
            if cfg!(target_arch = "x86_64") {
                says!("built for another machine (aarch64)")
            } else {
                says!("built for another machine (x86_64)")
            }
        }
        243 => says!("built for another machine (riscv)"),
        _ => says!("built for another machine"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters() {
        assert_eq!(interpreter(b"#! /bin/sh -e\nx"), Some(&b"/bin/sh"[..]));
        assert_eq!(interpreter(b"#!/usr/bin/python3"), Some(&b"/usr/bin/python3"[..]));
        assert_eq!(interpreter(b"#!/bin/sh\r\nx"), Some(&b"/bin/sh\r"[..]));
        assert_eq!(interpreter(b"\x7fELF\x02"), None);
        assert_eq!(interpreter(b"text"), None);
        let mut elf = vec![0u8; 200];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        elf[32..40].copy_from_slice(&64u64.to_ne_bytes());
        elf[54..56].copy_from_slice(&56u16.to_ne_bytes());
        elf[56..58].copy_from_slice(&1u16.to_ne_bytes());
        elf[64..68].copy_from_slice(&3u32.to_ne_bytes());
        elf[72..80].copy_from_slice(&150u64.to_ne_bytes());
        elf[96..104].copy_from_slice(&10u64.to_ne_bytes());
        elf[150..160].copy_from_slice(b"/lib/ld.so");
        assert_eq!(interpreter(&elf), Some(&b"/lib/ld.so"[..]));
        // A header that lies about its offsets leads nowhere, and certainly not to a panic.
        for at in 0..elf.len() {
            let mut bad = elf.clone();
            bad[at] = 0xff;
            interpreter(&bad);
            interpreter(&bad[..at]);
        }
    }

    #[test]
    fn machines() {
        let mut elf = vec![0u8; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[5] = 1;
        elf[18] = 243;
        assert_eq!(machine(&elf), Some(says!("built for another machine (riscv)")));
        assert_eq!(machine(b"#!/bin/sh"), None);
    }

    #[test]
    fn candidates() {
        let mut buffer = Text4096::new();
        assert_eq!(buffer.join(b"/bin", c"ls"), Some(c"/bin/ls"));
        assert_eq!(buffer.join(b"", c"ls"), Some(c"ls"));
        assert_eq!(buffer.join(&[b'x'; 4093], c"ls"), None);
    }

    #[test]
    fn room_for_words() {
        assert_eq!(most_words(b"ls -l\0"), 2);
        assert_eq!(most_words(b"a b\0c\0"), 3);
    }
}
