//! `stats`: what a container uses.

use super::named::running;
use super::order::Order;
use super::shown::{PAUSED, RUNNING, put_json};
use super::table::{put_limit, put_size};
use crate::bytes::{self, Put};
use crate::error::{Error, Result};
use crate::state::{self, Record};
use crate::sys::{self, FdRef};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Prints what it uses: once, or every second until it ends; without a cgroup, nothing changes. It may do so for weeks, and nothing is
/// freed here: what is allocated is allocated once.
pub fn stats(order: &Order, record: &Record, name: &CStr) -> Result<()> {
    let (process, ..) = running(record, name)?;
    let memory = Memory::of(record);
    let processes = record.group_file(["cgroup.procs"; 2]);
    let cpu = record.group_file(["cpu.stat", "cpuacct.usage"]);
    let freezer = record.freezer();
    let is_counted = record.has_groups();
    if !is_counted {
        sys::say(Error::refused(
            "it has no cgroup, so nothing is counted:",
            name.to_bytes(),
            "-m or another limit makes one",
        ));
    }
    let (mut out, mut cells) = (Vec::new(), [const { Vec::new() }; 3]);
    // The columns are as wide as what may be in them, for later lines are not known yet.
    let name_width = name.count_bytes().max(4) + 2;
    if !order.json {
        out.put_column(b"NAME", name_width);
        out.put(b"CPU SECONDS   MEMORY         PROCESSES\n");
    }
    loop {
        let [used, limit] = memory.read();
        let count = processes.as_ref().and_then(count_lines);
        // v2 counts microseconds, v1 nanoseconds.
        let cpu = read_value(&cpu, |text| {
            let v2 = bytes::field(text, b"usage_usec").and_then(number);
            v2.or_else(|| number(text).map(|nanoseconds| nanoseconds / 1000))
        });
        if order.json {
            let word = if freezer.as_ref().is_some_and(state::has_stopped) { PAUSED } else { RUNNING };
            let numbers = [("cpu_microseconds", cpu), ("memory", used), ("memory_limit", limit), ("processes", count)];
            put_json(&mut out, name, record, word, None, &numbers);
        } else {
            let [seconds, usage, running] = &mut cells;
            if let Some(cpu) = cpu {
                seconds.put_seconds(cpu);
            }
            if let Some(used) = used {
                put_size(usage, used);
                put_limit(usage, limit);
            }
            if let Some(count) = count {
                running.put_decimal(count);
            }
            out.put_column(name.to_bytes(), name_width);
            for (cell, width) in cells.iter_mut().zip([14, 15, 0]) {
                out.put_column(if cell.is_empty() { b"-" } else { cell }, width);
                cell.clear();
            }
            out.put(b"\n");
        }
        sys::write_all(FdRef::STDOUT, &out)?;
        out.clear();
        if order.once || !is_counted || sys::await_readable(process.borrow(), Some(1000))? {
            return Ok(());
        }
    }
}

/// What the file says now.
fn read_value(file: &Option<sys::Fd>, value: fn(&[u8]) -> Option<u64>) -> Option<u64> {
    let mut buffer = [0; 512];
    let n = sys::pread(file.as_ref()?.borrow(), &mut buffer, 0).ok()?;
    value(buffer.get(..n)?)
}

/// How many lines the file has now, however many they are.
fn count_lines(file: &sys::Fd) -> Option<u64> {
    let (mut buffer, mut at, mut lines) = ([0; 4096], 0, 0);
    loop {
        match sys::pread(file.borrow(), &mut buffer, at).ok()? {
            0 => return Some(lines),
            n => {
                lines += buffer.get(..n)?.iter().filter(|byte| **byte == b'\n').count() as u64;
                at += n as u64;
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    bytes::decimal(text.trim_ascii()).ok()
}

/// The files that say how much memory is in use, and how much may be.
pub struct Memory([Option<sys::Fd>; 2]);

impl Memory {
    /// Those of this container.
    pub fn of(record: &Record) -> Memory {
        Memory(
            [["memory.current", "memory.usage_in_bytes"], ["memory.max", "memory.limit_in_bytes"]]
                .map(|names| record.group_file(names)),
        )
    }

    /// Both, in bytes.
    pub fn read(&self) -> [Option<u64>; 2] {
        let [used, limit] = self.0.each_ref().map(|file| read_value(file, number));
        // v1 says 2^63, less a page, where there is no limit.
        [used, limit.filter(|limit| *limit < 1 << 62)]
    }
}
