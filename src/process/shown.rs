//! What is said of a container: its state, in a word and in several, and its object of JSON.

use super::table::put_age;
use crate::bytes::Put;
use crate::state::{self, End, Record};
use crate::sys;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Its published ports, or its address, as long as it has them: in the pause before a restart nobody listens.
pub fn used_by<'a>(record: &'a Record, word: &str, key: &[u8]) -> &'a [u8] {
    if [RUNNING, PAUSED].contains(&word) { record.field(key) } else { b"" }
}

const STARTING: &str = "starting";
/// It runs.
pub const RUNNING: &str = "running";
/// Its freezer has stopped it.
pub const PAUSED: &str = "paused";
const ENDING: &str = "ending";
const RESTARTING: &str = "restarting";
const EXITED: &str = "exited";
const LOST: &str = "lost";
const UNREADABLE: &str = "unreadable";

/// The states that `--filter status=` takes. No container here is ever in the last three, which docker has.
pub const STATES: [&str; 11] =
    [STARTING, RUNNING, PAUSED, ENDING, RESTARTING, EXITED, LOST, UNREADABLE, "created", "removing", "dead"];

/// Its state, in one word. Without its first process it has ended, and its keeper is about to note that.
pub fn word_of(record: &Record, end: Option<End>, process: Option<sys::Pid>) -> &'static str {
    match (record.alive, end) {
        _ if !record.is_readable() => UNREADABLE,
        (true, _) if record.state.is_empty() => STARTING,
        (true, Some(_)) => RESTARTING,
        (true, _) if process.is_none() && record.is_seen().is_ok_and(|is_seen| is_seen) => ENDING,
        (true, _) if record.is_frozen() => PAUSED,
        (true, _) => RUNNING,
        (false, Some(_)) => EXITED,
        (false, None) => LOST,
    }
}

/// Its state in words: `running 3 minutes`, `exited (137) 2 hours ago, out of memory`.
pub fn put_status(out: &mut Vec<u8>, record: &Record, word: &str, end: Option<End>, now: u64) {
    out.put(word.as_bytes());
    match end {
        Some(end) => {
            out.put(b" (");
            out.put_decimal(end.status);
            out.put(b") ");
            put_age(out, now.saturating_sub(end.at));
            out.put(b" ago");
            // A kill for want of memory may have been that of another process, and not the end.
            let reason = end.reason.filter(|_| end.status == 128 + libc::SIGKILL as u64);
            out.put(reason.map_or("", |reason| reason.text).as_bytes());
        }
        None if word == RUNNING => {
            out.put(b" ");
            put_age(out, now.saturating_sub(record.number(b"began")));
        }
        None if word == LOST => out.put(b": its keeper was killed"),
        None => {}
    }
}

/// Puts it as an object of JSON in a line, with these numbers behind the rest.
pub fn put_json(
    out: &mut Vec<u8>,
    name: &CStr,
    record: &Record,
    word: &str,
    end: Option<End>,
    numbers: &[(&str, Option<u64>)],
) {
    let mut separator: &[u8] = b"{";
    // In the state file it is escaped, and so it is in a table.
    let command = record.command();
    let strings = [
        ("name", name.to_bytes()),
        ("state", word.as_bytes()),
        ("command", command.as_bytes()),
        ("ports", used_by(record, word, b"ports")),
        ("address", used_by(record, word, b"address")),
    ];
    for (key, value) in &strings {
        out.put(separator);
        separator = b",";
        out.put_json(key.as_bytes());
        out.put(b":");
        out.put_json(value);
    }
    let began = Some(record.number(b"began")).filter(|began| *began != 0);
    let own = [("began", began), ("status", end.map(|end| end.status)), ("ended", end.map(|end| end.at))];
    for (key, value) in own.iter().chain(numbers) {
        out.put(b",");
        out.put_json(key.as_bytes());
        out.put(b":");
        match value {
            Some(value) => out.put_decimal(*value),
            None => out.put(b"null"),
        }
    }
    let is_for = |reason| end.and_then(|end| end.reason).is_some_and(|why| core::ptr::eq(why, reason));
    for reason in state::REASONS {
        out.put(b",");
        out.put_json(reason.key.as_bytes());
        out.put(if is_for(reason) { b":true" } else { b":false" });
    }
    out.put(b"}\n");
}
