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

/// The fields that are numbers, in the order of the record. Of seconds, microseconds are known.
const NUMBERS: [&str; 11] = [
    "pid",
    "status",
    "signal",
    "wall_seconds",
    "exec_seconds",
    "user_seconds",
    "system_seconds",
    "throttled_seconds",
    "oom_kills",
    "peak_memory_bytes",
    "peak_pids",
];

/// A number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Where the last four are: the field, the file, the key in it if it holds more than a number, and the unit. Each is in
/// one group at most, v1's and v2's together.
const COUNTERS: [(&str, &CStr, &[u8], u64); 7] = [
    ("throttled_seconds", c"cpu.stat", b"throttled_time", 1000),
    ("throttled_seconds", c"cpu.stat", b"throttled_usec", 1),
    ("oom_kills", c"memory.oom_control", b"oom_kill", 1),
    ("oom_kills", c"memory.events", b"oom_kill", 1),
    ("peak_memory_bytes", c"memory.max_usage_in_bytes", b"", 1),
    ("peak_memory_bytes", c"memory.peak", b"", 1),
    ("peak_pids", c"pids.peak", b"", 1),
];

/// The record, field by field.
struct Record {
    json: bool,
    out: Vec<u8>,
}

impl Record {
    /// Begins the next field.
    #[inline(never)]
    fn name(&mut self, name: &str) {
        let first = self.out.is_empty();
        if self.json {
            self.out.put(if first { b"{" } else { b"," });
            self.out.put_json(name.as_bytes());
            self.out.put(b":");
        } else {
            self.out.put(if first { b"" } else { b"\n" });
            let end = self.out.len() + 20;
            self.out.put(name.as_bytes());
            while self.out.len() < end {
                self.out.put(b" ");
            }
        }
    }

    /// A string; an empty one is one that is not known.
    #[inline(never)]
    fn string(&mut self, bytes: &[u8]) {
        match (self.json, bytes) {
            (true, b"") => self.out.put(b"null"),
            (true, _) => self.out.put_json(bytes),
            (false, b"") => self.out.put(b"-"),
            (false, _) => self.out.put_escaped(bytes),
        }
    }

    /// What stands before the next item of a list, of which there are `before` ones; in text, `between` stands there.
    #[inline(never)]
    fn item(&mut self, before: usize, between: &[u8]) {
        match (self.json, before) {
            (true, 0) => self.out.put(b"["),
            (true, _) => self.out.put(b","),
            (false, 0) => {}
            (false, _) => self.out.put(between),
        }
    }

    /// What stands after the last one.
    fn end_of_list(&mut self, items: usize) {
        self.out.put(match (self.json, items) {
            (true, 0) => b"[]",
            (true, _) => b"]",
            (false, _) => b"",
        });
    }
}

/// Makes the record, while the groups are still there.
#[inline(never)]
pub fn record(stats: &Stats, plan: &Plan, state: &State, ending: &Ending) -> Vec<u8> {
    let [user, system] = sys::cpu_time_of_children();
    let known = [
        ending.pid.map_or(UNKNOWN, |pid| pid.0 as u64),
        ending.status as u64,
        if ending.signaled { ending.status as u64 & 0x7f } else { UNKNOWN },
        sys::monotonic() - stats.begun,
        ending.executed.map_or(UNKNOWN, |executed| executed - stats.begun),
        user - stats.used[0],
        system - stats.used[1],
    ];
    let mut message = Vec::new();
    if let Some(error) = ending.error {
        error.print(&mut message);
    }
    let mut record = Record { json: stats.json, out: Vec::new() };
    record.name("command");
    let words = text::split(plan.words.strip_suffix(b"\0").unwrap_or_default(), 0);
    let mut count = 0;
    for word in words {
        record.item(count, b" ");
        count += 1;
        match record.json {
            true => record.out.put_json(word),
            false => record.out.put_quoted(&[word]),
        }
    }
    record.end_of_list(count);
    for (name, string) in [
        ("name", plan.name.to_bytes()),
        ("error", text::trimmed(message.strip_prefix(b"mydocker: ").unwrap_or_default())),
    ] {
        record.name(name);
        record.string(string);
    }
    for (at, name) in NUMBERS.iter().enumerate() {
        record.name(name);
        let value = known.get(at).copied().unwrap_or_else(|| counter(state, name));
        match value {
            UNKNOWN => record.string(b""),
            micros if name.ends_with("seconds") => record.out.put_seconds(micros),
            value => record.out.put_decimal(value),
        }
    }
    limits(&mut record, plan, state);
    record.out.put(if stats.json { b"}\n" } else { b"\n" });
    record.out
}

/// A counter of the container's groups.
fn counter(state: &State, name: &str) -> u64 {
    let mut buffer = [0u8; 1024];
    for dir in state.groups.iter().filter_map(|made| made.dir.as_ref()) {
        for (_, file, key, unit) in COUNTERS.iter().filter(|counter| counter.0 == name) {
            if let Ok(content) = dir.read(file, &mut buffer)
                && let Some(number) =
                    if key.is_empty() { Some(text::trimmed(content)) } else { text::field(content, key) }
                && let Ok(number) = text::decimal(number)
            {
                return number / unit;
            }
        }
    }
    UNKNOWN
}

/// Every limit: what was written, and what the kernel holds at the end.
fn limits(record: &mut Record, plan: &Plan, state: &State) {
    // What comes before the file, the value, what is in force, and after it.
    let [file, value, held, asked, default]: [&[u8]; 5] = match record.json {
        true => [b"{\"file\":", b",\"value\":", b",\"in_force\":", b",\"asked\":true}", b",\"asked\":false}"],
        false => [b"", b" = ", b", in force ", b", asked for", b", by default"],
    };
    record.name("limits");
    let mut count = 0;
    for (group, made) in plan.groups.iter().zip(&state.groups) {
        for setting in &group.settings {
            let mut buffer = [0u8; 4096];
            let read = setting.effective.unwrap_or(setting.file);
            let read =
                made.dir.as_ref().and_then(|dir| dir.read(read, &mut buffer).ok()).map_or(&b""[..], text::trimmed);
            record.item(count, b"\n                    ");
            count += 1;
            for (before, string) in [(file, setting.file.to_bytes()), (value, setting.value), (held, read)] {
                record.out.put(before);
                record.string(string);
            }
            record.out.put(if setting.asked { asked } else { default });
        }
    }
    record.end_of_list(count);
}
