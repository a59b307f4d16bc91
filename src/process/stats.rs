//! `--stats`: the times and counters of a run, as one record: one line of JSON, or text with a line for each field.
//! tests/manual/reference.md lists the fields.

use crate::bytes::{self, Put};
use crate::cgroup::Group;
use crate::error::Error;
use crate::plan::Plan;
use crate::spec::StatsTo;
use crate::sys::{self, Fd, OpenFlags, Pid};
use alloc::vec::Vec;
use core::ffi::CStr;

/// The clocks at the start of the run.
pub struct Begun {
    /// When it began: [`sys::monotonic`].
    at: u64,
    /// What earlier children had used: [`sys::cpu_time_of_children`].
    used: [u64; 2],
}

impl Begun {
    /// Now.
    pub fn now() -> Begun {
        Begun { at: sys::monotonic(), used: sys::cpu_time_of_children() }
    }
}

/// How a run has ended.
pub struct Ending<'a> {
    /// The container's pid on the host, if it came to be.
    pub pid: Option<Pid>,
    /// mydocker's exit status.
    pub status: i32,
    /// The signal that has ended the container.
    pub signal: Option<i32>,
    /// When execve had worked.
    pub executed_at: Option<u64>,
    /// Its published ports.
    pub ports: &'a [u8],
    /// Its root, where writes to it go to memory.
    pub written_to: Option<Fd>,
    /// Why execve has not worked.
    pub error: Option<Error>,
}

/// Opens the root of a process, whose filesystem exists as long as it is open. `None`: the process has ended already.
pub fn open_root(pid: Pid) -> Option<Fd> {
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/root"]);
    sys::open(path, OpenFlags::PATH).ok()
}

/// A counter that the kernel keeps, in one group at most.
struct Counter {
    name: &'static str,
    /// The files that v2 and v1 have it in, and the key in a file that holds more than a number.
    files: &'static [(&'static CStr, Option<&'static [u8]>)],
}

/// v1 counts `throttled_time` in nanoseconds; all other times are in microseconds.
const THROTTLED_TIME: &[u8] = b"throttled_time";

const COUNTERS: &[Counter] = &[
    Counter {
        name: "throttled_seconds",
        files: &[(c"cpu.stat", Some(b"throttled_usec")), (c"cpu.stat", Some(THROTTLED_TIME))],
    },
    Counter {
        name: "oom_kills",
        files: &[(c"memory.events", Some(b"oom_kill")), (c"memory.oom_control", Some(b"oom_kill"))],
    },
    Counter { name: "peak_memory_bytes", files: &[(c"memory.peak", None), (c"memory.max_usage_in_bytes", None)] },
    Counter { name: "peak_pids", files: &[(c"pids.peak", None)] },
];

/// Makes the record, while the groups still exist.
pub fn record(begun: &Begun, to: StatsTo, plan: &Plan, ending: &Ending) -> Vec<u8> {
    let json = match to {
        StatsTo::Text => false,
        StatsTo::Json => true,
        StatsTo::File(path) => path.to_bytes().ends_with(b".json"),
    };
    let mut out = Vec::new();
    begin_field(&mut out, json, "command");
    let mut separator: &[u8] = b"[";
    for word in plan.words() {
        out.put(separator);
        out.put_json(word);
        separator = b",";
    }
    out.put(b"]");
    begin_field(&mut out, json, "name");
    out.put_json(crate::cgroup::name_of(plan.spec, plan.host).to_bytes());
    begin_field(&mut out, json, "error");
    let mut message = Vec::new();
    if let Some(error) = ending.error {
        error.print(&mut message);
    }
    put_string(&mut out, message.strip_prefix(&b"mydocker: "[..]).unwrap_or_default().trim_ascii());
    begin_field(&mut out, json, "ports");
    put_string(&mut out, ending.ports);
    let [user, system] = sys::cpu_time_of_children();
    let numbers = [
        ("pid", ending.pid.map(|pid| pid.0 as u64)),
        ("status", Some(ending.status as u64)),
        ("signal", ending.signal.map(|signal| signal as u64)),
        ("wall_seconds", Some(sys::monotonic().saturating_sub(begun.at))),
        ("exec_seconds", ending.executed_at.map(|at| at.saturating_sub(begun.at))),
        ("user_seconds", Some(user.saturating_sub(begun.used[0]))),
        ("system_seconds", Some(system.saturating_sub(begun.used[1]))),
    ];
    for (name, value) in &numbers {
        put_number(&mut out, json, name, *value);
    }
    for counter in COUNTERS {
        put_number(&mut out, json, counter.name, counter.read(plan));
    }
    let space = ending.written_to.as_ref().and_then(|root| sys::space(root).ok());
    put_number(&mut out, json, "written_bytes", space.map(|(size, free)| size.saturating_sub(free)));
    put_number(&mut out, json, "writable_bytes", space.map(|(size, _)| size));
    begin_field(&mut out, json, "limits");
    put_limits(&mut out, json, plan);
    out.put(if json { b"}\n" } else { b"\n" });
    out
}

/// Begins the next field.
fn begin_field(out: &mut Vec<u8>, json: bool, name: &str) {
    let first = out.is_empty();
    if json {
        out.put(if first { b"{" } else { b"," });
        out.put_json(name.as_bytes());
        out.put(b":");
    } else {
        out.put(if first { b"" } else { b"\n" });
        out.put_column(name.as_bytes(), 20);
    }
}

/// A field with a number, or null for none. What is in seconds is given in microseconds.
fn put_number(out: &mut Vec<u8>, json: bool, name: &str, value: Option<u64>) {
    begin_field(out, json, name);
    match value {
        None => out.put(b"null"),
        Some(micros) if name.ends_with("seconds") => out.put_seconds(micros),
        Some(value) => out.put_decimal(value),
    }
}

/// A string, or null for an empty one.
fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    match string {
        b"" => out.put(b"null"),
        _ => out.put_json(string),
    }
}

/// The content of a control file of a group. It is empty where the group has no such file.
fn content<'a>(group: &Group, file: &CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    group.dir().and_then(|dir| dir.read(file, buffer).ok()).unwrap_or_default()
}

impl Counter {
    /// Its value, if one of the container's groups keeps it.
    fn read(&self, plan: &Plan) -> Option<u64> {
        let mut buffer = [0u8; 1024];
        for (file, key) in self.files {
            for group in &plan.parts.groups {
                let content = content(group, file, &mut buffer);
                let number = match key {
                    Some(key) => bytes::field(content, key).unwrap_or_default(),
                    None => content.trim_ascii(),
                };
                if let Ok(number) = bytes::decimal(number) {
                    return Some(if *key == Some(THROTTLED_TIME) { number / 1000 } else { number });
                }
            }
        }
        None
    }
}

/// Every limit: what was written, and what the kernel holds at the end.
fn put_limits(out: &mut Vec<u8>, json: bool, plan: &Plan) {
    let between: &[u8] = if json { b"," } else { b",\n                    " };
    let mut separator: &[u8] = b"[";
    for group in &plan.parts.groups {
        for setting in &group.settings {
            let mut buffer = [0u8; 4096];
            let held = content(group, setting.effective.unwrap_or(setting.file), &mut buffer);
            out.put(separator);
            separator = between;
            out.put(b"{\"file\":");
            out.put_json(setting.file.to_bytes());
            out.put(b",\"value\":");
            out.put_json(setting.value);
            out.put(b",\"in_force\":");
            put_string(out, held.trim_ascii());
            out.put(if setting.explicit { b",\"asked\":true}" } else { b",\"asked\":false}" });
        }
    }
    out.put(if separator == b"[" { b"[]" } else { b"]" });
}
