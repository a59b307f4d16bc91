//! `--stats`: what a run took, as one record of JSON, or of text, which has a line for each field and the same values. The
//! README has the schema.

use crate::error::Error;
use crate::step::{Plan, State, Stats};
use crate::sys::{self, Pid};
use crate::text::{self, Put};
use alloc::vec::Vec;

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

/// The fields that are numbers: what is known beside the groups; then counters, with the files that v1 and v2 have them
/// in, each in one group at most, and after `:` the key in it if it holds more than a number. Of seconds, microseconds are
/// known, but for `throttled_time` of v1, which counts nanoseconds.
const NUMBERS: &[u8] = b"pid
status
signal
wall_seconds
exec_seconds
user_seconds
system_seconds
throttled_seconds cpu.stat:throttled_usec cpu.stat:throttled_time
oom_kills memory.events:oom_kill memory.oom_control:oom_kill
peak_memory_bytes memory.peak memory.max_usage_in_bytes
peak_pids pids.peak";

/// Makes the record, while the groups are still there.
#[inline(never)]
pub fn record(stats: &Stats, plan: &Plan, state: &State, ending: &Ending) -> Vec<u8> {
    let [user, system] = sys::cpu_time_of_children();
    let known = [
        ending.pid.map(|pid| pid.0 as u64),
        Some(ending.status as u64),
        ending.signaled.then_some(ending.status as u64 & 0x7f),
        Some(sys::monotonic().saturating_sub(stats.begun)),
        ending.executed.map(|executed| executed.saturating_sub(stats.begun)),
        Some(user.saturating_sub(stats.used[0])),
        Some(system.saturating_sub(stats.used[1])),
    ];
    let mut message = Vec::new();
    if let Some(error) = ending.error {
        error.print(&mut message);
    }
    let mut out = Vec::new();
    let json = stats.json;
    field(&mut out, json, b"command");
    let mut before: &[u8] = b"[";
    for word in text::split(plan.words.strip_suffix(b"\0").unwrap_or_default(), 0) {
        out.put(before);
        out.put_json(word);
        before = b",";
    }
    out.put(b"]");
    field(&mut out, json, b"name");
    out.put_json(plan.name.to_bytes());
    field(&mut out, json, b"error");
    put_string(&mut out, text::trimmed(message.strip_prefix(b"mydocker: ").unwrap_or_default()));
    for (at, line) in text::split(NUMBERS, b'\n').enumerate() {
        let mut words = text::split(line, b' ');
        let name = words.next().unwrap_or_default();
        field(&mut out, json, name);
        let value = known.get(at).copied().unwrap_or_else(|| words.find_map(|file| count(state, file)));
        match value {
            None => out.put(b"null"),
            Some(micros) if name.ends_with(b"seconds") => out.put_seconds(micros),
            Some(value) => out.put_decimal(value),
        }
    }
    field(&mut out, json, b"limits");
    limits(&mut out, json, plan, state);
    out.put(if json { b"}\n" } else { b"\n" });
    out
}

/// Begins the next field.
#[inline(never)]
fn field(out: &mut Vec<u8>, json: bool, name: &[u8]) {
    let first = out.is_empty();
    if json {
        out.put(if first { b"{" } else { b"," });
        out.put_json(name);
        out.put(b":");
    } else {
        out.put(if first { b"" } else { b"\n" });
        out.put_column(name, 20);
    }
}

/// A string, or null for an empty one: there is nothing to say.
fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    match string {
        b"" => out.put(b"null"),
        _ => out.put_json(string),
    }
}

/// A counter of the container's groups: the number in a file, or the one after a key.
#[inline(never)]
fn count(state: &State, file_and_key: &[u8]) -> Option<u64> {
    let (file, key) = text::split_at(file_and_key, b':').unwrap_or((file_and_key, b""));
    let file = text::c_string(&[file]);
    let mut buffer = [0u8; 1024];
    state.groups.iter().filter_map(|made| made.dir.as_ref()).find_map(|dir| {
        let content = dir.read(file, &mut buffer).ok()?;
        let number = if key.is_empty() { text::trimmed(content) } else { text::field(content, key)? };
        let number = text::decimal(number).ok()?;
        Some(if key == b"throttled_time" { number / 1000 } else { number })
    })
}

/// Every limit: what was written, and what the kernel holds at the end.
fn limits(out: &mut Vec<u8>, json: bool, plan: &Plan, state: &State) {
    let between: &[u8] = if json { b"," } else { b",\n                    " };
    let mut before: &[u8] = b"[";
    for (group, made) in plan.groups.iter().zip(&state.groups) {
        for setting in &group.settings {
            let mut buffer = [0u8; 4096];
            let read = setting.effective.unwrap_or(setting.file);
            let held = made.dir.as_ref().and_then(|dir| dir.read(read, &mut buffer).ok()).unwrap_or_default();
            out.put(before);
            before = between;
            out.put(b"{\"file\":");
            out.put_json(setting.file.to_bytes());
            out.put(b",\"value\":");
            out.put_json(setting.value);
            out.put(b",\"in_force\":");
            put_string(out, text::trimmed(held));
            out.put(if setting.asked { b",\"asked\":true}" } else { b",\"asked\":false}" });
        }
    }
    out.put(if before == b"[" { b"[]" } else { b"]" });
}
