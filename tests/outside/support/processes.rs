//! Processes, as the host sees them: their ends, their children, their state.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as hanging: long enough for an emulated machine under load.
/// `PATIENCE=SECONDS` overrides it.
pub fn timeout() -> Duration {
    static SECONDS: OnceLock<u64> = OnceLock::new();
    let configured = || std::env::var("PATIENCE").ok()?.parse().ok();
    Duration::from_secs(*SECONDS.get_or_init(|| configured().unwrap_or(180)))
}

/// Waits until `pid`, a child of ours or not, has ended; false if that takes too long.
pub fn wait_for_end(pid: i32) -> bool {
    let pid = Pid::from_raw(pid).expect("a pid");
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        // EINVAL: it is being reaped, and is no leader of a thread group any more.
        Err(Errno::SRCH | Errno::INVAL) => return true,
        Err(error) => panic!("pidfd_open: {error}"),
    };
    let end = Instant::now() + timeout();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            Ok(ready) => return ready > 0,
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Polls until `done` returns true; fails if that takes too long.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < timeout(), "timed out waiting until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to one process that a case started.
pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill takes two integers and no pointer
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill {pid} {signal}");
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&other| parent(other) == Some(pid)).collect()
}

fn parent(pid: i32) -> Option<i32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

/// The state in /proc/PID/stat: `S` sleep_processes, `T` stopped, `Z` zombie; None if the process does not exist.
pub fn state(pid: i32) -> Option<char> {
    stat_fields(pid)?.first()?.chars().next()
}

/// Whether it is in this system call, and not on its way there: proc_pid_syscall(5).
pub fn is_in_call(pid: i32, number: libc::c_long) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split(' ').next() == Some(number.to_string().as_str())
}

/// Whether it is in the foreground process group of its terminal.
pub fn is_in_foreground(pid: i32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.get(2).is_some() && fields.get(2) == fields.get(5))
}

/// The descendants of `pid` that run `sleep`.
pub fn sleep_processes(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for child in children(pid) {
        let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        // busybox keeps its own name in /proc/PID/comm, so argv[0] is compared.
        if words.split(|&byte| byte == 0).next().is_some_and(|word| word.ends_with(b"sleep")) {
            found.push(child);
        }
        found.extend(sleep_processes(child));
    }
    found
}

/// The processor time that it has used, in ticks of a hundredth of a second.
pub fn cpu_ticks(pid: i32) -> u64 {
    let fields = stat_fields(pid).expect("a live process");
    [11, 12].iter().map(|&at| fields[at].parse::<u64>().expect("ticks")).sum()
}

/// The fields of /proc/PID/stat after the name.
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit(") ").next()?.split_whitespace().map(String::from).collect())
}

/// Its anonymous memory, in KiB.
pub fn anonymous_kib(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("Anonymous");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

/// A hexadecimal field of /proc/PID/status; None if the process does not exist.
pub fn status_field(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
