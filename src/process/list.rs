//! `ps`: the containers that have a record.

use super::order::Order;
use super::shown::{put_json, put_status, used_by, word_of};
use super::table::{Row, put_limit, put_size};
use super::usage::Memory;
use crate::bytes::{self, Put};
use crate::error::{Errno, Result};
use crate::state::Record;
use crate::sys::{self, Dir};
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Returns the exit status: a record that cannot be read is named, and hides none of the others.
pub fn list(order: &Order, folder: &Dir, rows: &mut Vec<Row>, out: &mut Vec<u8>) -> Result<i32> {
    let mut status = 0;
    let names = BinaryHeap::from(sys::directory_names(folder, b"")?).into_sorted_vec();
    let now = sys::realtime() / 1000;
    for name in names {
        let record = match Record::open(folder, name) {
            // The folder of somebody else, which the user may not even look into.
            Err(e) if e.is(Errno::EACCES) => continue,
            Err(error) => {
                sys::say(error);
                status = error.status();
                continue;
            }
            Ok(record) => record,
        };
        // One that has been removed meanwhile is not in the list.
        let Some(record) = record else { continue };
        // As docker has it, `--filter status=` looks at containers that have ended, too.
        if !(order.all || record.alive || !order.states.is_empty()) {
            continue;
        }
        let end = record.end();
        // A list of names looks at no process and no cgroup, unless it is to choose by that.
        let (process, word) = if order.quiet && order.states.is_empty() {
            (None, "")
        } else {
            let process = record.pid()?;
            (process, word_of(&record, end, process))
        };
        if !passes(order, name, word) {
            continue;
        }
        if order.quiet {
            out.put(name.to_bytes());
            out.put(b"\n");
            continue;
        }
        let process = process.map(|pid| pid.0 as u64);
        let [used, limit] = if record.alive { Memory::of(&record).read() } else { [None; 2] };
        if order.json {
            put_json(out, name, &record, word, end, &[("pid", process), ("memory", used), ("memory_limit", limit)]);
        } else {
            let mut cells = [const { Vec::new() }; 6];
            let [own, status, command, pid, usage, ports] = &mut cells;
            own.put(name.to_bytes());
            put_status(status, &record, word, end, now);
            command.put(record.field(b"command"));
            if let Some(process) = process {
                pid.put_decimal(process);
            }
            if let Some(used) = used {
                put_size(usage, used);
                put_limit(usage, limit);
            }
            ports.put(used_by(&record, word, b"ports"));
            rows.push(cells.map(|cell| &*cell.leak()));
        }
    }
    Ok(status)
}

/// Whether the filters let it pass: of each kind, one of them.
fn passes(order: &Order, name: &CStr, word: &str) -> bool {
    (order.parts.is_empty() || order.parts.iter().any(|part| has_part(name.to_bytes(), part)))
        && (order.states.is_empty() || order.states.contains(&word))
}

/// Whether a name has this part, at its beginning after `^`, at its end before `$`.
fn has_part(name: &[u8], part: &[u8]) -> bool {
    match (part.strip_prefix(b"^"), part.strip_suffix(b"$")) {
        (Some(rest), Some(_)) => rest.strip_suffix(b"$") == Some(name),
        (Some(start), None) => name.starts_with(start),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => bytes::position(name, part).is_some(),
    }
}
