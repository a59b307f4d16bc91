//! What each call can fail with, and which failures a run has to survive.

use crate::trace::{Call, Traced};

/// The errnos to try for each call: what the kernel can give for it where mydocker makes it, ENOSYS for those newer than
/// Linux 5.10 or often filtered, EINTR where a signal can come between. Nothing for calls that cannot fail.
pub fn errnos(call: &str) -> Option<&'static [&'static str]> {
    Some(match call {
        // The C library's start, in front of mydocker's own first call.
        "arch_prctl" => &["EINVAL"],
        "brk" => &["ENOMEM"],
        "set_tid_address" => &["ENOSYS"],
        "set_robust_list" | "rseq" => &["ENOSYS"],
        "readlink" | "readlinkat" => &["ENOENT"],
        "getrandom" => &["ENOSYS"],
        "prlimit64" => &["EPERM"],
        "poll" => &["ENOMEM"],
        // No call that can fail: there is no errno to try.
        "getpid" | "getuid" | "exit_group" => &[],

        "openat" => &["ENOENT", "EACCES", "EMFILE", "ENOMEM", "EINTR"],
        "read" => &["EIO", "ENOMEM", "EINTR"],
        "pread64" => &["EIO", "EINTR"],
        // The first ones are what control files give, EPIPE is a pipe's.
        "write" => &["EINVAL", "EBUSY", "ENOSPC", "EPERM", "EPIPE", "EINTR"],
        "close" => &["EIO", "EINTR"],
        "fcntl" => &["EINVAL"],
        "faccessat" => &["EACCES", "ENOENT", "ENOMEM"],
        "mkdirat" => &["EEXIST", "EACCES", "ENOSPC", "ENOMEM", "EROFS"],
        "unlinkat" => &["EBUSY", "ENOMEM", "EACCES", "EINTR"],
        "flock" => &["ENOLCK", "EINTR"],
        "getdents64" => &["ENOENT", "EIO"],
        "fstat" => &["ENOMEM"],
        "mmap" | "mprotect" => &["ENOMEM"],
        "pipe2" => &["EMFILE", "ENFILE"],
        "signalfd4" => &["EMFILE", "ENOMEM"],
        "rt_sigprocmask" | "rt_sigaction" => &["EINVAL"],
        "clone" => &["EAGAIN", "ENOMEM", "EPERM", "EINVAL", "ENOSPC"],
        "clone3" => &["ENOSYS", "E2BIG", "EINVAL", "EOPNOTSUPP", "EAGAIN", "EBUSY", "EPERM"],
        "mount" => &["EPERM", "EINVAL", "ENOMEM", "EBUSY"],
        "sethostname" => &["EPERM"],
        "socket" => &["EAFNOSUPPORT", "EMFILE", "EPERM"],
        "ioctl" => &["EPERM", "ENODEV"],
        "chdir" => &["ENOENT", "EACCES", "ENOTDIR"],
        "prctl" => &["EINVAL", "EPERM"],
        "ppoll" => &["ENOMEM", "EINVAL", "EINTR"],
        "close_range" => &["ENOSYS", "EINVAL", "EMFILE", "ENOMEM"],
        "execve" => &["EACCES", "ENOENT", "ENOEXEC", "E2BIG", "ENOMEM", "ETXTBSY", "EIO", "ELOOP", "EPERM"],
        "kill" => &["EPERM"],
        "wait4" => &["ECHILD", "EINTR"],
        "nanosleep" => &["EINTR"],
        "socketpair" => &["EMFILE", "ENFILE"],
        "sendmsg" | "recvmsg" => &["ENOMEM", "EINTR"],
        "setsid" => &["EPERM"],
        "dup3" | "dup2" => &["EMFILE", "EINTR"],
        "fsopen" => &["ENOSYS", "EPERM", "ENODEV", "EMFILE"],
        "fsconfig" => &["EBUSY", "EINVAL", "EPERM", "ENOMEM"],
        "fsmount" => &["EPERM", "EMFILE", "ENOMEM"],
        "umask" => &[],
        "uname" => &["ENOMEM"],
        "statx" => &["ENOENT", "EACCES", "ENOMEM"],
        "open_tree" => &["ENOENT", "EPERM", "ENOSYS", "EINTR"],
        "move_mount" => &["EINVAL", "EPERM", "ENOTDIR", "ENOSYS"],
        "mount_setattr" => &["ENOSYS", "EPERM", "EINVAL"],
        "pivot_root" => &["EPERM", "EBUSY", "EINVAL"],
        "umount2" => &["EPERM", "EBUSY"],
        "openat2" => &["ENOENT", "ELOOP", "EACCES", "ENOSYS", "EMFILE", "EINTR"],
        "mknodat" => &["EPERM", "EEXIST", "ENOSPC"],
        "symlinkat" => &["EEXIST", "ENOSPC"],
        "fstatfs" => &["ENOMEM"],
        "fchdir" => &["EACCES"],
        "fchownat" => &["EPERM"],
        "setgroups" | "setgid" | "setuid" => &["EPERM"],
        _ => return None,
    })
}

/// What a failure of one call has to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// One message that names it, and nothing was run.
    Ends,
    /// A run that worked, without a word.
    Survived(&'static str),
    /// The command's status, and one warning at most.
    Warned(&'static str),
    /// A run that worked, or one message that names it.
    Either(&'static str),
    /// It was the message itself: only the status can tell.
    Mute,
    /// Any end at all, as long as nothing is left.
    NotOurs,
}

/// A row of the table: whose call, which, about what, with which errnos (none: all), in which scenario (none: all).
struct Row {
    scenario: &'static str,
    child: Option<bool>,
    call: &'static str,
    about: &'static [&'static str],
    errnos: &'static [&'static str],
    effect: Effect,
}

use Effect::{Either, Survived};

const PARENT: Option<bool> = Some(false);
const CHILD: Option<bool> = Some(true);
const BOTH: Option<bool> = None;

const fn row(
    child: Option<bool>,
    call: &'static str,
    about: &'static [&'static str],
    errnos: &'static [&'static str],
    effect: Effect,
) -> Row {
    Row { scenario: "", child, call, about, errnos, effect }
}

const SWAP: Effect = Survived("no swap on top is a consequence of -m, not asked for");
const NO_STATUS: Effect = Survived("which signals the caller ignores is not known: all are reset");
const NO_RESOLVER: Effect = Survived("the host has no /etc/resolv.conf to give");
const LAYER: Effect = Either("it is the root, or a mount below it, which is read-only then");
const IT_IS_THERE: Effect =
    Either("what is said to be missing and is there is found a moment later, or cannot be made");
const RETRIED: Effect = Survived("interrupted calls are made again");
const COUNTERS: Effect = Survived("a report of kills is an extra; the kill itself shows in the status");
const NOT_NEEDED: Effect = Survived("an unreachable hierarchy matters only to a limit that was asked for");
const ORPHANS: Effect = Survived("where /proc does not tell, no orphans are looked for");
const SWEEP: Effect = Survived("a sweep is a service to others");
const AGAIN: Effect = Survived("the directory seems to be another's, or swept: it is made again");
const DEFAULT: Effect = Either("a default that this host cannot apply is left out");

/// The failures before execve that a run survives; the first row that fits counts. What no row fits ends the run.
const TABLE: &[Row] = &[
    row(BOTH, "close", &[], &[], Survived("the descriptor is close-on-exec, and its process soon ends")),
    row(BOTH, "", &[], &["EINTR"], RETRIED),
    row(BOTH, "openat", &["/proc/self/status"], &[], NO_STATUS),
    row(BOTH, "read", &["/status>"], &[], NO_STATUS),
    row(PARENT, "openat", &["memory.memsw.limit_in_bytes", "memory.swap.max"], &[], SWAP),
    row(PARENT, "write", &["memory.memsw.limit_in_bytes>", "memory.swap.max>"], &[], SWAP),
    row(PARENT, "pread64", &["memory.memsw.limit_in_bytes>", "memory.swap.max>"], &[], SWAP),
    row(PARENT, "mkdirat", &["\"mydocker-"], &["EEXIST"], AGAIN),
    row(PARENT, "openat", &["\"mydocker-"], &["ENOENT"], AGAIN),
    row(PARENT, "faccessat", &["cgroup.procs"], &["ENOENT"], AGAIN),
    row(BOTH, "close_range", &[], &["EINVAL"], Survived("before Linux 5.11, which cannot mark, they are closed")),
    row(PARENT, "openat", &["/children\""], &[], ORPHANS),
    row(PARENT, "read", &["/children>"], &[], ORPHANS),
    row(BOTH, "clone3", &[], &["ENOSYS", "E2BIG", "EINVAL", "EOPNOTSUPP"], Survived("clone, and joining by hand")),
    row(PARENT, "getdents64", &[], &[], SWEEP),
    row(PARENT, "uname", &[], &[], Survived("a container without a name of its own is called nothing")),
    row(PARENT, "openat", &["\"/etc/resolv.conf\""], &[], NO_RESOLVER),
    row(PARENT, "read", &["/etc/resolv.conf>"], &[], NO_RESOLVER),
    // A mount below the host's root that an overlay cannot be on is read-only.
    Row { scenario: "root", ..row(CHILD, "chdir", &[], &[], LAYER) },
    Row { scenario: "root", ..row(CHILD, "mount", &["overlay"], &[], LAYER) },
    Row { scenario: "root", ..row(CHILD, "mkdirat", &["/proc/upper", "/proc/work"], &[], LAYER) },
    Row { scenario: "root", ..row(CHILD, "statx", &["\".\""], &[], LAYER) },
    Row { scenario: "root", ..row(CHILD, "statx", &["\"/proc\"", "\"/sys\"", "\"/dev\""], &["ENOENT"], IT_IS_THERE) },
    // What is said to be missing is made, and is found to be there by another call.
    Row { scenario: "root", ..row(CHILD, "openat2", &[], &["ENOENT"], Effect::NotOurs) },
    Row { scenario: "root", ..row(CHILD, "openat2", &["\"/etc/"], &["ELOOP"], Survived("a link of the root's")) },
    Row { scenario: "root", ..row(CHILD, "pivot_root", &[], &["EINVAL"], Survived("as on the initramfs: moved")) },
    // A hierarchy that none of the scenario's limits needs.
    Row { scenario: "host", ..row(PARENT, "openat", &["/cpuset\", O_", "/pids\", O_"], &[], NOT_NEEDED) },
    Row { scenario: "terminal", ..row(PARENT, "openat", &["/cpuset\", O_", "/pids\", O_"], &[], NOT_NEEDED) },
    // With everything at its default, nothing about cgroups was asked for.
    Row { scenario: "defaults", ..row(PARENT, "openat", &["cgroup", "\"mydocker-", "mountinfo"], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "read", &["cgroup", "mountinfo"], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "write", &["cgroup"], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "pread64", &[], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "mkdirat", &[], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "flock", &[], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "faccessat", &[], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(CHILD, "openat", &["/tasks", "/cgroup.procs"], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(CHILD, "write", &["/tasks>", "/cgroup.procs>"], &[], DEFAULT) },
    Row { scenario: "defaults", ..row(PARENT, "unlinkat", &[], &[], DEFAULT) },
];

/// What comes after the command was let go, in the parent: its status stands, whatever fails.
const AFTER: &[Row] = &[
    row(PARENT, "openat", &["memory.oom_control", "memory.events"], &[], COUNTERS),
    row(PARENT, "read", &["memory.oom_control>", "memory.events>"], &[], COUNTERS),
    row(PARENT, "unlinkat", &[], &["EBUSY"], Survived("tried again, ten times")),
    row(PARENT, "openat", &["\"mydocker-"], &[], SWEEP),
    row(PARENT, "flock", &[], &[], SWEEP),
    row(PARENT, "fstat", &[], &[], SWEEP),
    row(PARENT, "close", &[], &[], Survived("the exit closes it")),
    row(PARENT, "", &[], &["EINTR"], RETRIED),
];

/// What the failure of `call` has to lead to.
pub fn effect(scenario: &str, run: &Traced, call: &Call) -> Effect {
    if !run.is_child(call) && call.began < run.first_own() {
        return Effect::NotOurs;
    }
    if call.name == "write" && call.arguments.starts_with("2<") {
        return if call.result.contains(" EINTR ") { RETRIED } else { Effect::Mute };
    }
    let fits = |row: &&Row| {
        (row.scenario.is_empty() || row.scenario == scenario)
            && row.child.is_none_or(|child| child == run.is_child(call))
            && (row.call.is_empty() || row.call == call.name)
            && (row.about.is_empty() || row.about.iter().any(|part| call.arguments.contains(part)))
            && (row.errnos.is_empty() || row.errnos.iter().any(|errno| call.result.contains(&format!(" {errno} "))))
    };
    let after = !run.is_child(call) && run.let_go().is_some_and(|go| go.began < call.began);
    let default = if after { Effect::Warned("the command may have run: its status stands") } else { Effect::Ends };
    let table = if after { AFTER } else { TABLE };
    table.iter().find(fits).map_or(default, |row| row.effect)
}

/// Failures after which something may stay, and why that cannot be helped.
pub fn may_leave(call: &Call) -> Option<&'static str> {
    match (call.name.as_str(), call.result.as_str()) {
        // A permission that is missing once is missing again; a later run finds the lock free and sweeps.
        ("unlinkat", result) if result.contains("EACCES") => Some("the removal itself is refused"),
        _ => None,
    }
}
