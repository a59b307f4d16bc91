//! From the command's first word to a running program: PATH as execvp(3) searches it, but with reasons when it fails.
//! All of this runs in the child, in room that the parent has made.

use super::Command;
use crate::bytes;
use crate::error::{Errno, Error, Kind};
use crate::sys::{self, Pointers};
use core::ffi::CStr;

/// Becomes the command with these words, each with a NUL after it; returns only the reason why not. (`None`: calls are
/// recorded, and it would have worked.)
pub fn exec(words: &'static [u8], command: &mut Command) -> Option<Error> {
    let (argv, envp, path) = (&mut command.argv, &command.envp, command.path);
    let Some(whole) = fill(argv, words) else { return Some(Error::not_found(b"")) };
    let mut error = search(whole, path, argv, envp)?;
    let has_blanks = whole.to_bytes().iter().any(|byte| BLANKS.contains(byte));
    if argv.len() == 1 && is_not_found(error) && has_blanks {
        error = exec_divided(whole, command, error)?;
    }
    Some(match error.cause().kind {
        Kind::NotFound => explain_missing(error, whole, command.own_root),
        Kind::Call => error.not_executed(),
        _ => error,
    })
}

/// The old way, `run "ls -l"`: only where nothing has the whole word as its name, which is the `error`.
fn exec_divided(whole: &CStr, command: &mut Command, error: Error) -> Option<Error> {
    let Command { room, argv, envp, path, .. } = command;
    let room = core::mem::take(room);
    let mut after_blank = true;
    let mut len = 0;
    for &byte in whole.to_bytes_with_nul() {
        let end = BLANKS.contains(&byte) || byte == 0;
        if !(end && after_blank)
            && let Some(slot) = room.get_mut(len)
        {
            *slot = if end { 0 } else { byte };
            len += 1;
        }
        after_blank = end;
    }
    let room: &'static [u8] = room;
    argv.clear();
    match fill(argv, room.get(..len).unwrap_or_default()) {
        None => Some(error),
        Some(first) => match search(first, path, argv, envp)? {
            other if is_not_found(other) => Some(error),
            other => Some(other),
        },
    }
}

/// What divides the words of a command of one word.
pub const BLANKS: [u8; 2] = [b' ', b'\t'];

/// Points at each word; returns the first.
fn fill(argv: &mut Pointers, words: &'static [u8]) -> Option<&'static CStr> {
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

/// The errnos of a file that does not exist.
const DOES_NOT_EXIST: [Errno; 4] = [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::ENAMETOOLONG];

/// Tries the word as a path if it has a slash, else in each directory of PATH. An empty one is the working directory.
fn search(word: &CStr, path: &[u8], argv: &Pointers, envp: &Pointers) -> Option<Error> {
    if word.is_empty() {
        return Some(Error::not_found(word.to_bytes()));
    }
    if word.to_bytes().contains(&b'/') {
        return Some(match sys::execve(word, argv, envp)? {
            e if e.is_one_of(&DOES_NOT_EXIST) && !sys::exists(word) => Error::not_found(word.to_bytes()),
            e => explain(word, e),
        });
    }
    let mut buffer = PathBuffer([0; libc::PATH_MAX as usize]);
    // The first pass only tries; if nothing could be executed, the second finds the reason.
    for looking_for_the_reason in [false, true] {
        for dir in bytes::split(path, b':') {
            let Some(candidate) = buffer.join(dir, word) else { continue };
            if looking_for_the_reason && !sys::exists(candidate) {
                continue;
            }
            let error = sys::execve(candidate, argv, envp)?;
            let look_further = error.is(Errno::EACCES) || error.is_one_of(&DOES_NOT_EXIST);
            if looking_for_the_reason || !look_further {
                return Some(explain(candidate, error));
            }
        }
    }
    Some(Error::not_found(word.to_bytes()))
}

/// Images that docker's users name in front of the command.
const IMAGES: [&[u8]; 10] = [
    b"alpine",
    b"ubuntu",
    b"debian",
    b"busybox",
    b"fedora",
    b"archlinux",
    b"nginx",
    b"hello-world",
    b"redis",
    b"postgres",
];

/// Adds what stands under that name elsewhere, or what the root is instead of one.
fn explain_missing(error: Error, name: &CStr, own_root: bool) -> Error {
    let word = name.to_bytes();
    // `alpine:3.20`, or the name of a registry, as in `docker.io/library/alpine`.
    let first = bytes::split(word, b'/').next().unwrap_or_default();
    let is_path = matches!(first, b"" | b"." | b"..");
    let is_image =
        IMAGES.contains(&word) || !is_path && (word.contains(&b':') || first != word && first.contains(&b'.'));
    let is_name = !word.contains(&b'/');
    if is_name && !own_root && sys::is_directory(name) {
        error.with_hint("not found in PATH; the directory of this name is a root with run --rootfs DIR COMMAND")
    } else if is_name && !sys::is_directory(name) && sys::is_executable(name) {
        error.with_hint("not found in PATH, but in the working directory: ./NAME")
    } else if is_image {
        error.with_hint("not found as a program, and there are no images: mydocker help root says what there is")
    } else if word.starts_with("\u{2014}".as_bytes()) || word.starts_with("\u{2013}".as_bytes()) {
        error.with_hint("not found; an option begins with two hyphens, and not with a dash")
    } else if word.starts_with(b"-") {
        error.with_hint("not found; options come first")
    } else if own_root && sys::exists(c"/bin/sh") {
        error
    } else {
        match ROOTS.iter().find(|(file, _)| own_root && sys::exists(file)) {
            Some((_, hint)) => error.with_hint(hint),
            None => error,
        }
    }
}

/// What a file at the top of a root of its own tells where a command is missing.
const ROOTS: [(&CStr, &str); 4] = [
    (c"/oci-layout", IN_LAYERS),
    (c"/manifest.json", IN_LAYERS),
    (c"/rootfs", "not found: the root is a bundle, whose own root is its folder rootfs"),
    (c"/bin/busybox", "not found; the root has a busybox: busybox COMMAND"),
];
const IN_LAYERS: &str = "not found: the root is an image in layers; docker export writes the files of one";

fn is_not_found(error: Error) -> bool {
    error.cause().kind == Kind::NotFound
}

/// Room for a path on the stack of the child.
struct PathBuffer([u8; libc::PATH_MAX as usize]);

impl PathBuffer {
    /// `dir/word`; `None` if it is too long to be a path.
    fn join(&mut self, dir: &[u8], word: &CStr) -> Option<&CStr> {
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        let mut rest = self.0.as_mut_slice();
        let mut len = 0;
        for part in [dir, slash, word.to_bytes_with_nul()] {
            let (target, after) = rest.split_at_mut_checked(part.len())?;
            target.copy_from_slice(part);
            len += part.len();
            rest = after;
        }
        CStr::from_bytes_with_nul(self.0.get(..len)?).ok()
    }
}

/// Adds what errno does not say: which interpreter is missing, for which machine the file was built, that it is a directory.
fn explain(file: &CStr, error: Error) -> Error {
    let mut head = [0u8; 4096];
    if error.is(Errno::EACCES) {
        return error.with_hint(match (sys::is_directory(file), sys::is_executable(file)) {
            (true, _) => "a directory: as a root it is run --rootfs DIR COMMAND",
            (false, true) => "no execute permission for its interpreter",
            (false, false) => "no execute permission, by its mode or by its mount (noexec)",
        });
    }
    let Ok(head) = sys::read_up_to(None, file, &mut head) else { return error };
    if error.is(Errno::ENOEXEC) {
        let empty = if head.is_empty() { Some("an empty file") } else { None };
        return match machine(head).or(empty) {
            Some(hint) => error.with_hint(hint),
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
        return line.split(|byte| BLANKS.contains(byte)).find(|word| !word.is_empty());
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
            return head.get(offset..)?.get(..len).and_then(|name| bytes::split(name, 0).next());
        }
    }
    None
}

/// e_machine of this machine's own programs, elf(5).
const OWN_MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

/// For an ELF file that cannot be executed: the machine that it was built for, as a hint.
fn machine(head: &[u8]) -> Option<&'static str> {
    head.strip_prefix(b"\x7fELF")?;
    let little = *head.get(5)? != 2;
    let number: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    Some(match if little { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) } {
        own if own == OWN_MACHINE => "damaged: its ELF header is inconsistent",
        3 => "built for another machine (i386)",
        8 => "built for another machine (mips)",
        20 | 21 => "built for another machine (powerpc)",
        22 => "built for another machine (s390)",
        40 => "built for another machine (arm)",
        62 | 183 => {
            if cfg!(target_arch = "x86_64") {
                "built for another machine (aarch64)"
            } else {
                "built for another machine (x86_64)"
            }
        }
        243 => "built for another machine (riscv)",
        _ => "built for another machine",
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
        assert_eq!(machine(&elf), Some("built for another machine (riscv)"));
        assert_eq!(machine(b"#!/bin/sh"), None);
    }

    #[test]
    fn candidates() {
        let mut buffer = PathBuffer([0; libc::PATH_MAX as usize]);
        assert_eq!(buffer.join(b"/bin", c"ls"), Some(c"/bin/ls"));
        assert_eq!(buffer.join(b"", c"ls"), Some(c"ls"));
        assert_eq!(buffer.join(&[b'x'; 4093], c"ls"), None);
    }
}
