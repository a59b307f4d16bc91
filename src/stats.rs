//! `--stats`: what a run took, as one record of text or of JSON. The README has the schema.

use crate::error::Error;
use crate::step::{Plan, State, Stats};
use crate::sys::{self, Pid};
use crate::text::{self, Put};
use alloc::vec::Vec;
use core::ffi::CStr;

/// How a run has ended.
pub struct Ending {
    /// The container's pid on the host, if it came to be.
    pub pid: Option<Pid>,
    /// mydocker's exit status.
    pub status: i32,
    /// A signal has ended it.
    pub signaled: bool,
    /// When execve had worked.
    pub executed: Option<u64>,
    /// Why it has not.
    pub error: Option<Error>,
}

/// One record: the fields one after the other.
struct Record {
    json: bool,
    out: Vec<u8>,
}

impl Record {
    /// Begins a field.
    fn name(&mut self, name: &str) {
        if self.json {
            self.out.put(if self.out.is_empty() { b"{" } else { b"," });
            self.out.put_json(name.as_bytes());
            self.out.put(b":");
        } else {
            let start = self.out.len();
            self.out.put(name.as_bytes());
            for _ in self.out.len()..start + 20 {
                self.out.put(b" ");
            }
        }
    }

    /// Ends it.
    fn end(&mut self) {
        self.out.put(if self.json { b"" } else { b"\n" });
    }

    /// A number, or nothing if it is not known.
    fn number(&mut self, name: &str, value: Option<u64>) {
        self.put_number(name, value, |out, value| out.put_decimal(value));
    }

    /// As many microseconds, in seconds.
    fn seconds(&mut self, name: &str, micros: Option<u64>) {
        self.put_number(name, micros, |out, micros| out.put_seconds(micros));
    }

    fn put_number(&mut self, name: &str, value: Option<u64>, put: fn(&mut Vec<u8>, u64)) {
        self.name(name);
        match value {
            Some(value) => put(&mut self.out, value),
            None => self.out.put(if self.json { b"null" } else { b"-" }),
        }
        self.end();
    }

    /// A string; what it is not known of is empty.
    fn string(&mut self, bytes: &[u8]) {
        match (self.json, bytes) {
            (true, b"") => self.out.put(b"null"),
            (true, bytes) => self.out.put_json(bytes),
            (false, b"") => self.out.put(b"-"),
            (false, bytes) => self.out.put_escaped(bytes),
        }
    }
}

/// Makes the record, while the groups are still there.
pub fn record(stats: &Stats, plan: &Plan, state: &State, ending: &Ending) -> Vec<u8> {
    let now = sys::monotonic();
    let [user, system] = sys::cpu_time_of_children();
    let [user_before, system_before] = stats.used;
    let signal = ending.signaled.then_some(ending.status as u64 & 0x7f);
    let mut record = Record { json: stats.json, out: Vec::new() };
    record.name("command");
    for (at, word) in text::split(plan.words.strip_suffix(b"\0").unwrap_or_default(), 0).enumerate() {
        match (record.json, at) {
            (true, 0) => record.out.put(b"["),
            (true, _) => record.out.put(b","),
            (false, 0) => {}
            (false, _) => record.out.put(b" "),
        }
        match record.json {
            true => record.out.put_json(word),
            false => record.out.put_quoted(&[word]),
        }
    }
    record.out.put(if stats.json { b"]" } else { b"" });
    record.end();
    record.name("name");
    record.string(plan.name.to_bytes());
    record.end();
    record.number("pid", ending.pid.map(|pid| pid.0 as u64));
    record.number("status", Some(ending.status as u64));
    record.number("signal", signal);
    let mut message = Vec::new();
    if let Some(error) = ending.error {
        error.print(&mut message);
    }
    record.name("error");
    record.string(text::trimmed(message.strip_prefix(b"mydocker: ").unwrap_or_default()));
    record.end();
    let kills = [(c"memory.oom_control", &b"oom_kill"[..]), (c"memory.events", b"oom_kill")];
    record.number("oom_kills", kills.iter().find_map(|(file, key)| count(state, file, key)));
    record.seconds("wall_seconds", Some(now - stats.begun));
    record.seconds("exec_seconds", ending.executed.map(|executed| executed - stats.begun));
    record.seconds("user_seconds", Some(user - user_before));
    record.seconds("system_seconds", Some(system - system_before));
    let throttled = count(state, c"cpu.stat", b"throttled_usec");
    let throttled = throttled.or(count(state, c"cpu.stat", b"throttled_time").map(|nanos| nanos / 1000));
    record.seconds("throttled_seconds", throttled);
    let peak = count(state, c"memory.max_usage_in_bytes", b"").or(count(state, c"memory.peak", b""));
    record.number("peak_memory_bytes", peak);
    record.number("peak_pids", count(state, c"pids.peak", b""));
    limits(&mut record, plan, state);
    record.out.put(if stats.json { b"}\n" } else { b"" });
    record.out
}

/// A counter of the container's groups: the one number in `file`, or the one after `key`. A file is in one group at most,
/// or in none.
fn count(state: &State, file: &CStr, key: &[u8]) -> Option<u64> {
    let mut buffer = [0u8; 1024];
    state.groups.iter().flatten().find_map(|dir| {
        let content = dir.read(file, &mut buffer).ok()?;
        let number = if key.is_empty() { text::trimmed(content) } else { text::field(content, key)? };
        text::decimal(number).ok()
    })
}

/// Every limit: what was written, and what the kernel holds at the end.
fn limits(record: &mut Record, plan: &Plan, state: &State) {
    let mut joint: &[u8] = b"[";
    if record.json {
        record.name("limits");
    }
    for (group, dir) in plan.groups.iter().zip(&state.groups) {
        for setting in &group.settings {
            let mut buffer = [0u8; 4096];
            let file = setting.effective.unwrap_or(setting.file);
            let held = dir.as_ref().and_then(|dir| dir.read(file, &mut buffer).ok()).map_or(&b""[..], text::trimmed);
            if record.json {
                record.out.put(joint);
                joint = b",";
                record.out.put(b"{\"file\":");
                record.string(setting.file.to_bytes());
                record.out.put(b",\"value\":");
                record.string(setting.value);
                record.out.put(if setting.asked { b",\"asked\":true" } else { b",\"asked\":false" });
                record.out.put(b",\"in_force\":");
                record.string(held);
                record.out.put(b"}");
            } else {
                record.name("limit");
                record.string(setting.file.to_bytes());
                record.out.put(b" ");
                record.string(setting.value);
                record.out.put(if setting.asked { b" asked for, " } else { b" by default, " });
                record.string(held);
                record.out.put(b" in force");
                record.end();
            }
        }
    }
    if record.json {
        record.out.put(if joint == b"," { b"]" } else { b"[]" });
    }
}
