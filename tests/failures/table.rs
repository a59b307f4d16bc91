//! The errnos of each call, and the failures that a run must survive.

use crate::support::needs::on_v2;
use crate::trace::{Call, Traced};

/// The errnos to try for each call: those that the kernel can give for it where mydocker makes it, ENOSYS for calls
/// newer than Linux 5.10 or often filtered, EINTR where a signal can interrupt it. Empty for calls that cannot fail.
pub fn errnos(call: &str) -> Option<&'static [&'static str]> {
    Some(match call {
        // The start-up code of the C library, before mydocker's own first call.
        "arch_prctl" => &["EINVAL"],
        "brk" => &["ENOMEM"],
        "set_tid_address" => &["ENOSYS"],
        "set_robust_list" | "rseq" => &["ENOSYS"],
        "readlink" | "readlinkat" => &["ENOENT"],
        "getrandom" => &["ENOSYS"],
        "prlimit64" => &["EPERM"],
        "poll" => &["ENOMEM"],
        // These calls cannot fail: there is no errno to try.
        "clock_gettime" | "getpid" | "getppid" | "getuid" | "geteuid" | "getegid" | "getgid" | "getpgid" | "umask"
        | "exit_group" => &[],

        "openat" => &["ENOENT", "EACCES", "EMFILE", "ENOMEM", "EINTR"],
        "read" => &["EIO", "ENOMEM", "EINTR"],
        "pread64" => &["EIO", "EINTR"],
        // Control files give the first ones, a pipe gives EPIPE.
        "write" => &["EINVAL", "EBUSY", "ENOSPC", "EPERM", "EPIPE", "EINTR"],
        "close" => &["EIO", "EINTR"],
        "fcntl" => &["EINVAL"],
        "faccessat" => &["EACCES", "ENOENT", "ENOMEM"],
        "mkdirat" => &["EEXIST", "EACCES", "ENOSPC", "ENOMEM", "EROFS"],
        "unlinkat" => &["EBUSY", "ENOMEM", "EACCES", "EINTR"],
        "renameat" => &["ENOSPC", "ENOENT", "EINTR"],
        "flock" => &["EAGAIN", "ENOLCK", "EINTR"],
        "sched_setaffinity" => &["EINVAL", "EPERM"],
        "fchmod" => &["EPERM", "EROFS"],
        "getdents64" => &["ENOENT", "EIO"],
        "lseek" => &["ESPIPE"],
        "ftruncate" => &["EINVAL"],
        "mmap" | "mprotect" => &["ENOMEM"],
        "pipe2" => &["EMFILE", "ENFILE"],
        "signalfd4" => &["EMFILE", "ENOMEM"],
        "rt_sigprocmask" | "rt_sigaction" | "setitimer" => &["EINVAL"],
        "clone" => &["EAGAIN", "ENOMEM", "EPERM", "EINVAL", "ENOSPC"],
        "clone3" => &["ENOSYS", "E2BIG", "EINVAL", "EOPNOTSUPP", "EAGAIN", "EBUSY", "EPERM"],
        "mount" => &["EPERM", "EINVAL", "ENOMEM", "EBUSY"],
        "sethostname" => &["EPERM"],
        "socket" => &["EAFNOSUPPORT", "EMFILE", "EPERM"],
        "accept4" => &["EMFILE", "ECONNABORTED", "EINTR"],
        "connect" => &["ECONNREFUSED", "EADDRNOTAVAIL"],
        "getsockopt" => &["ENOBUFS"],
        "splice" => &["EIO", "ENOMEM", "EINTR"],
        "shutdown" => &["ENOTCONN"],
        "setsockopt" => &["ENOPROTOOPT"],
        "bind" => &["EADDRINUSE", "EACCES", "EADDRNOTAVAIL"],
        "listen" => &["EADDRINUSE"],
        "getsockname" => &["ENOBUFS"],
        "sendto" => &["ENOBUFS", "EPERM", "EINTR"],
        "recvfrom" => &["ENOMEM", "EINTR"],
        "epoll_create1" => &["EMFILE", "ENOMEM"],
        "epoll_ctl" => &["ENOSPC", "ENOMEM"],
        "epoll_pwait" => &["EINVAL", "EINTR"],
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
        "getrusage" => &["EFAULT"],
        "uname" => &["EFAULT"],
        "statx" => &["ENOENT", "EACCES", "ENOMEM"],
        "fstatfs" => &["EIO", "EINTR"],
        "open_tree" => &["ENOENT", "EACCES", "ENOSYS", "EMFILE"],
        "move_mount" => &["EINVAL", "EPERM", "ENOSYS"],
        "mount_setattr" => &["EPERM", "EINVAL", "ENOSYS"],
        "pivot_root" => &["EINVAL", "EPERM"],
        "umount2" => &["EINVAL", "EPERM"],
        "chroot" => &["EPERM"],
        "mknodat" => &["EPERM", "ENOSPC", "EEXIST"],
        "symlinkat" => &["EEXIST", "ENOSPC"],
        "fchownat" => &["EPERM"],
        "fchmodat" => &["EPERM"],
        "capset" => &["EPERM"],
        "keyctl" => &["ENOSYS", "EDQUOT", "ENOMEM"],
        "pidfd_send_signal" => &["EPERM", "EINVAL"],
        "madvise" => &["EINVAL"],
        "pidfd_open" => &["ENOSYS", "EMFILE", "ENOMEM"],
        "setns" => &["EINVAL", "EPERM", "ENOMEM"],
        "seccomp" => &["EINVAL", "EACCES", "ENOSYS"],
        "unshare" => &["EPERM", "EINVAL", "ENOSPC"],
        "setgroups" | "setgid" => &["EPERM"],
        "setuid" => &["EPERM", "EAGAIN"],
        "openat2" => &["ENOENT", "EACCES", "ENOSYS", "ELOOP", "EMFILE", "EINTR"],
        "fchdir" => &["EACCES"],
        "setpgid" => &["EPERM"],
        "rt_sigtimedwait" => &["EINTR", "EINVAL"],
        "fsopen" => &["ENOSYS", "EPERM", "ENODEV", "EMFILE"],
        "fsconfig" => &["EBUSY", "EINVAL", "EPERM", "ENOMEM"],
        "fsmount" => &["EPERM", "EMFILE", "ENOMEM"],
        _ => return None,
    })
}

/// The effect that the failure of one call must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The command is not run, and one message names the call.
    Ends,
    /// The command is not run, and one message contains these words: the errno of this call alone would mislead.
    Says(&'static str),
    /// The run works, without a message.
    Survived(&'static str),
    /// `Ends` or `Survived`, depending on what exactly the call looked at.
    Either(&'static str),
    /// The command's status is kept, and one warning names the call.
    Warned(&'static str),
    /// The run works, but loses data on its way through the terminal; the terminal may hang up on the command.
    Loses(&'static str),
    /// The same, with one warning that names the call.
    HangsUp(&'static str),
    /// A command about containers ends with 0 all the same, and one message contains these words.
    Tells(&'static str),
    /// The failed call would have written the message: only the status can tell.
    Mute,
    /// The failure hit the start-up code of the C library, before mydocker's own: any end is accepted, as long as
    /// nothing stays behind.
    Library,
}

/// A row of the table: in which process, which call, with which arguments (`^`: at their beginning), with which errnos
/// (none: all), in which scenarios (none: all).
struct Row {
    scenarios: &'static [&'static str],
    child: Option<bool>,
    call: &'static str,
    about: &'static [&'static str],
    errnos: &'static [&'static str],
    effect: Effect,
}

use Effect::{Either, Ends, HangsUp, Loses, Says, Survived, Tells, Warned};

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
    Row { scenarios: &[], child, call, about, errnos, effect }
}

/// The scenarios that set only memory and CPU shares.
const TWO_LIMITS: &[&str] = &["host", "terminal", "init", "name_left", "name_taken", "stats"];

/// The scenarios with a terminal.
const TERMINALS: &[&str] = &["terminal", "users_terminal", "init_terminal"];

/// The scenarios without any limit.
const NO_LIMITS: &[&str] = &[
    "users_terminal",
    "init_terminal",
    "environment",
    "path",
    "no_interpreter",
    "root",
    "root_not_found",
    "image",
    "read_only",
    "bridge",
    "ports",
    "joined",
    "joined_ports",
    "neighbour",
    "pid_of",
    "slirp4netns",
    "relayed",
];

/// The scenarios with another container.
const NEIGHBOUR: &[&str] = &["neighbour", "pid_of", "exec", "exec_terminal", "exec_privileged"];

/// A command in a container that runs.
const EXEC: &[&str] = &["exec", "exec_terminal", "exec_privileged"];

/// The commands about a container, which execute none.
const VERBS: &[&str] = &["stop", "rm", "pause", "logs", "ps", "wait"];

/// Their failures; what is not here ends them.
const OF_VERBS: &[Row] = &[
    row(PARENT, "close", &[], &[], Survived("the exit of the process closes it")),
    row(PARENT, "", &[], &["EINTR"], RETRIED),
    row(PARENT, "flock", &[], &["EAGAIN"], Either("others seem to hold it")),
    row(PARENT, "", &["/proc/locks"], &[], Survived("nobody is known to be stopped in it")),
    Row { scenarios: &["wait"], ..row(PARENT, "pread64", &["/status>"], &[], Says("its keeper was killed")) },
    Row { scenarios: &["ps"], ..row(PARENT, "", &["/records\"", "/records/", "\"failures-name"], &["ENOENT"], GONE) },
    Row { scenarios: &["ps"], ..row(PARENT, "", &["/records/", "\"failures-name"], &["EACCES"], GONE) },
    Row { scenarios: &["ps"], ..row(PARENT, "", &["/cgroup/"], &[], UNKNOWN) },
    Row { scenarios: &["ps"], ..row(PARENT, "openat", &["/stat\""], &["ENOENT"], UNKNOWN) },
    Row { scenarios: &["pause"], ..row(PARENT, "openat", &["/status\", O_RDONLY"], &[], KILLED_MEANWHILE) },
    Row { scenarios: &["pause"], ..row(PARENT, "read", &["/status>"], &[], KILLED_MEANWHILE) },
    Row { scenarios: &["ps"], ..row(PARENT, "openat", &["\"state\""], &["ENOENT"], UNKNOWN) },
    Row {
        scenarios: &["rm"],
        ..row(
            PARENT,
            "openat",
            &["/records\"", "\"failures-name", "\"status\""],
            &["ENOENT"],
            Tells("no such container"),
        )
    },
    row(PARENT, "openat", &["/records\"", "\"failures-name", "\"status\""], &["ENOENT"], Says("no such container")),
    row(PARENT, "openat", &["\"state\"", "/stat\""], &["ENOENT"], Either("it seems to be starting, or ending")),
    row(PARENT, "openat", &["\"log\""], &["ENOENT"], Either("it may be between two names")),
    row(PARENT, "openat", &["\"log.old\""], &["ENOENT"], Survived("a short log has one file")),
    Row { scenarios: &["stop", "rm"], ..row(PARENT, "", &["/freezer/"], &[], NOT_FROZEN) },
    row(PARENT, "openat", &["\"/sys/fs/cgroup/freezer/"], &[], Says("it cannot be paused")),
    row(PARENT, "openat", &["freezer.state\", O_RDONLY"], &[], Either("at first it counts as not frozen")),
    row(PARENT, "pread64", &["freezer.state>"], &[], Either("at first it counts as not frozen")),
];

const GONE: Effect = Loses("it seems to have been removed meanwhile, or to be somebody else's");
const UNKNOWN: Effect = Survived("what cannot be read is not shown");
const NOT_FROZEN: Effect = Survived("what cannot be read counts as not frozen");

/// The limits of ancestor cgroups, which mydocker reads on v2 before it makes a cgroup higher up.
const V2_LIMITS: &[&str] = &[
    "/memory.max\", O_RDONLY",
    "/memory.high\", O_RDONLY",
    "/memory.swap.max\", O_RDONLY",
    "/cpu.max\", O_RDONLY",
    "/cpuset.cpus\", O_RDONLY",
    "/cpuset.mems\", O_RDONLY",
    "/pids.max\", O_RDONLY",
    "/io.max\", O_RDONLY",
];

const SWAP: Effect = Survived("the swap limit follows from -m and is not explicit");
const NO_STATUS: Effect = Survived("mydocker does not learn which signals the caller ignores, and resets all");
const RETRIED: Effect = Survived("interrupted calls are retried");
const COUNTERS: Effect = Survived("the count of OOM kills is optional; the kill itself shows in the status");
const NOT_NEEDED: Effect = Survived("an unreachable hierarchy matters only to an explicit limit");
const ORPHANS: Effect = Survived("without this file of /proc, mydocker does not look for orphans");
const SWEEP: Effect = Survived("the sweep is optional: it removes the leftovers of other runs");
const AGAIN: Effect = Survived("the directory seems to be another run's, or swept: mydocker makes it again");
const KILLED_MEANWHILE: Effect = Survived("one that is killed in the same moment stays paused, until it is removed");
const FOR_EXEC: Effect = Survived("what a later exec would need is left out of the record");
const DEFAULT: Effect = Survived("a default that this host cannot apply is left out");
const NOT_SEEN: Effect = Survived("the record notes the root by its directory alone, which is mydocker's, too");
const FORWARDS: Effect = Survived("it is not known whether this host forwards packets: it is made to");
const OTHERS: Effect = Survived("others seem to be there: they remove it");
const INTERFACE: Effect = Survived("as if the interface had ended with its container");
const NO_TERMINAL: Effect = Survived("a file without a size or settings is not treated as a terminal");
const AS_IT_IS: Effect = Survived("mydocker writes to stdout as it is, and only as much as it accepts at once");
const REAPER: Effect = Survived("the reaper then waits only for the command");
const CALLERS: Effect = Survived("without limits, the caller's own cgroup is shown if it is known");
const MOUNTS: Effect = Survived("without limits, the mounts matter only before Linux 5.12");
const TOP: Effect = Survived("before Linux 5.8, mydocker takes its own root for the top of all mounts");
const MADE: Effect = Either("a missing path is made; a path that was just made must exist");
const KEPT_TWICE: Effect = Survived("the directory of two files that are made is then kept open twice");
const AS_ROOT_ONLY: Effect = Survived("then ports below 1024, and ping, are root's as on the host");
const NAMES_NOBODY: Effect = Survived("a device node or a loop of links in the place of a user file names nobody");
const FOLLOWS: Effect = Survived("the tree then follows the host, as one with mounts in it does");
const OWN_FILE: Effect = Survived("if a file of /etc cannot be mounted, the root keeps its own, or has none");
const HOSTS_FILE: Effect = Survived("on a host without this file, the container gets none");
const NO_NUMBER: Effect = Survived("an unknown number is left out of the record");
const BELOW: Effect = Survived("a mount below the root is read-only if no overlay can be mounted on it");
const NO_FREEZER: Effect = Survived("a container without a group of the freezer cannot be paused");
const UNSEEN: Effect = Survived("the limits hold, and programs inside do not find them");
const UNFOLLOWED: Effect = HangsUp("mydocker waits for a command that it cannot serve, and its terminal hangs up");
const ELSEWHERE: Effect =
    Survived("the file may be in another directory of PATH, or be found when mydocker looks for the reason");

/// The failures before execve that a run survives; the first row that matches counts. A failure that matches no row
/// ends the run.
const TABLE: &[Row] = &[
    row(BOTH, "close", &[], &[], Survived("the descriptor is close-on-exec, and its process soon ends")),
    row(BOTH, "", &[], &["EINTR"], RETRIED),
    // The network.
    row(
        PARENT,
        "openat",
        &["disable_ipv6\""],
        &["ENOENT"],
        Survived("this kernel has no IPv6, which no container could announce itself in"),
    ),
    row(PARENT, "openat", &["disable_ipv6\""], &["EROFS", "EACCES"], Warned("IPv6 stays on, which is said")),
    row(PARENT, "openat", &["ip_forward\", O_RDONLY"], &[], FORWARDS),
    row(PARENT, "read", &["ip_forward>"], &[], FORWARDS),
    row(PARENT, "mkdirat", &["\".net-"], &["EEXIST"], AGAIN),
    row(PARENT, "openat", &["\".net-"], &["ENOENT"], AGAIN),
    row(
        PARENT,
        "openat",
        &["-mydocker0>, \"names\", O_RDONLY"],
        &["ENOENT"],
        Either("before clone the directory is made again"),
    ),
    row(PARENT, "openat", &["-mydocker0>, \"names\""], &["ENOENT"], Ends),
    row(PARENT, "openat", &["-mydocker0>, \""], &["ENOENT"], AGAIN),
    row(PARENT, "openat", &["-mydocker0/"], &["ENOENT"], Either("before clone the directory is made again")),
    row(PARENT, "flock", &["-mydocker0>", "<net:", "LOCK_SH"], &["EAGAIN"], OTHERS),
    row(PARENT, "flock", &["-mydocker0/"], &["EAGAIN"], Says("hosts")),
    Row {
        scenarios: NEIGHBOUR,
        ..row(
            PARENT,
            "openat",
            &["/records\"", "\"failures-name", "\"status\""],
            &["ENOENT"],
            Says("no such container"),
        )
    },
    Row { scenarios: NEIGHBOUR, ..row(PARENT, "openat", &["\"state\""], &["ENOENT"], Says("it is still starting")) },
    Row { scenarios: NEIGHBOUR, ..row(PARENT, "openat", &["/stat\""], &["ENOENT"], Says("it is ending")) },
    Row { scenarios: NEIGHBOUR, ..row(PARENT, "", &["/stat\"", "/stat>"], &[], Ends) },
    Row { scenarios: NEIGHBOUR, ..row(PARENT, "pread64", &["/status>"], &[], Ends) },
    row(PARENT, "socket", &["AF_INET6"], &["EAFNOSUPPORT"], Survived("a kernel without IPv6: the port is one of IPv4")),
    Row {
        scenarios: &["relayed"],
        ..row(CHILD, "epoll_ctl", &[], &[], Either("once it serves, one connection is lost"))
    },
    Row {
        scenarios: &["relayed"],
        ..row(
            CHILD,
            "",
            &["<socket:", "<TCP", "<UDP", "<pipe:"],
            &[],
            Survived("a connection or a datagram is lost, and the next one is not"),
        )
    },
    Row { scenarios: &["slirp4netns"], ..row(CHILD, "", &[], &[], Says("it has ended at once")) },
    row(CHILD, "setns", &["CLONE_NEWNET"], &[], Ends),
    // The /proc of another container.
    Row { scenarios: &["pid_of"], ..row(CHILD, "setns", &[], &[], Ends) },
    row(CHILD, "epoll_pwait", &[], &["EINVAL"], Warned("the ports are closed, and the command goes on")),
    // A group without that file is taken for one of v2.
    Row { scenarios: EXEC, ..row(PARENT, "faccessat", &["\"tasks\""], &["ENOENT"], Says("CLONE_INTO_CGROUP")) },
    // The way into its root, where it was started in a chroot.
    Row { scenarios: EXEC, ..row(PARENT, "openat", &["/root\", O_RDONLY|O_CLOEXEC|O_PATH"], &[], Ends) },
    // Its record notes where it is.
    row(PARENT, "openat", &["/root\", O_RDONLY|O_CLOEXEC|O_PATH"], &["ENOENT", "EACCES"], NOT_SEEN),
    row(
        PARENT,
        "statx",
        &["</>, \"\", AT_STATX_SYNC_AS_STAT|AT_EMPTY_PATH, STATX_BASIC_STATS|STATX_MNT_ID"],
        &[],
        Ends,
    ),
    // A relative path below another one that the container can write to is known by the working directory.
    Row { scenarios: &["root"], ..row(PARENT, "openat", &["\".\", O_RDONLY|O_CLOEXEC|O_PATH|O_DIRECTORY"], &[], Ends) },
    Row {
        scenarios: &["root"],
        ..row(
            PARENT,
            "readlinkat",
            &["/proc/self/fd/"],
            &[],
            Either("the working directory must be known; or the tree follows the host"),
        )
    },
    // Whoever enters a container is to be in each of its groups.
    Row { scenarios: EXEC, ..row(CHILD, "", &["/freezer/"], &[], Ends) },
    Row {
        scenarios: EXEC,
        ..row(PARENT, "", &["/freezer/"], &[], Either("it counts as not frozen; but its group is to be joined"))
    },
    // Its content names the group of the freezer.
    row(PARENT, "write", &["/records/"], &[], Ends),
    row(BOTH, "", &["/freezer/", "/freezer\"", "/freezer>"], &[], NO_FREEZER),
    row(BOTH, "openat", &["/proc/self/status"], &[], NO_STATUS),
    row(BOTH, "fstatfs", &["/status>"], &[], NO_STATUS),
    row(BOTH, "read", &["/status>"], &[], NO_STATUS),
    row(PARENT, "openat", &["memory.memsw.limit_in_bytes", "memory.swap.max"], &[], SWAP),
    row(PARENT, "write", &["memory.memsw.limit_in_bytes>", "memory.swap.max>"], &[], SWAP),
    row(PARENT, "pread64", &["memory.memsw.limit_in_bytes>", "memory.swap.max>"], &[], SWAP),
    row(
        PARENT,
        "faccessat",
        &["cgroup.type\""],
        &["ENOENT"],
        Either("only the root cgroup has no such file, and it may hold both processes and children"),
    ),
    // The record of a container with a name.
    row(PARENT, "mkdirat", &["/records"], &["EEXIST"], AGAIN),
    row(PARENT, "openat", &["/records>, \"failures-name", "\"status\""], &["ENOENT"], AGAIN),
    row(PARENT, "openat", &["\"/proc/self/stat\""], &["ENOENT"], Says("no record can be kept without")),
    row(PARENT, "", &["\"/proc/self/stat\""], &[], Ends),
    row(PARENT, "openat", &["/stat\"", "O_PATH|O_DIRECTORY"], &[], FOR_EXEC),
    row(PARENT, "fstatfs", &["/stat>"], &[], FOR_EXEC),
    row(
        PARENT,
        "read",
        &["/stat>"],
        &[],
        Either("its own start must be known; what a later exec would need is left out"),
    ),
    row(
        PARENT,
        "flock",
        &["/records/"],
        &["EAGAIN"],
        Survived("others hold it for a moment only: mydocker tries again"),
    ),
    // Once for the name of the file, once for what is mounted in the root.
    Row {
        scenarios: &["stdin"],
        ..row(PARENT, "readlinkat", &["/proc/self/fd/"], &[], Either("the name of stdin must be found"))
    },
    row(PARENT, "readlinkat", &[], &[], FOR_EXEC),
    row(PARENT, "statx", &["</>, \"\"", "</made>, \"\"", "</etc>, \"\""], &[], KEPT_TWICE),
    row(CHILD, "openat", &["ip_unprivileged_port_start", "ping_group_range"], &[], AS_ROOT_ONLY),
    row(CHILD, "write", &["ip_unprivileged_port_start>", "ping_group_range>"], &[], AS_ROOT_ONLY),
    row(CHILD, "openat2", &["\"/made"], &["EACCES"], Either("the user may be able to enter it where root may not")),
    row(PARENT, "mkdirat", &["\"mydocker-"], &["EEXIST"], AGAIN),
    row(PARENT, "openat", &["\"mydocker-"], &["ENOENT"], AGAIN),
    row(PARENT, "faccessat", &["cgroup.procs"], &["ENOENT"], AGAIN),
    row(PARENT, "flock", &[], &["EAGAIN"], AGAIN),
    row(
        PARENT,
        "unlinkat",
        &["mydocker-failures-name"],
        &["EBUSY"],
        Survived("mydocker first removes the child cgroups, then tries again"),
    ),
    row(PARENT, "ioctl", &["TIOCGWINSZ", "TCGETS", "TIOCGPGRP"], &[], NO_TERMINAL),
    row(PARENT, "ioctl", &["SIOCGIFINDEX"], &["ENODEV"], INTERFACE),
    row(PARENT, "statx", &["/proc/self/fd/1"], &[], AS_IT_IS),
    row(PARENT, "openat", &["/proc/self/fd/1"], &[], AS_IT_IS),
    row(PARENT, "openat", &["/children\""], &[], ORPHANS),
    row(PARENT, "fstatfs", &["/children>"], &[], ORPHANS),
    row(PARENT, "read", &["/children>"], &[], ORPHANS),
    row(
        BOTH,
        "clone3",
        &[],
        &["ENOSYS", "E2BIG", "EINVAL", "EOPNOTSUPP"],
        Survived("mydocker uses clone, and the child joins its cgroup itself"),
    ),
    row(
        CHILD,
        "close_range",
        &["CLOSE_RANGE_CLOEXEC"],
        &["EINVAL"],
        Survived("Linux 5.10 has no CLOSE_RANGE_CLOEXEC: the descriptors are closed instead"),
    ),
    row(CHILD, "umount2", &["\"/sys/fs/cgroup"], &["EINVAL"], UNSEEN),
    row(CHILD, "mount", &["\"/sys/fs/cgroup"], &["EPERM", "EBUSY"], UNSEEN),
    row(CHILD, "rt_sigtimedwait", &["~[KILL STOP]"], &[], REAPER),
    row(CHILD, "wait4", &[], &[], REAPER),
    Row { scenarios: &["path"], ..row(CHILD, "execve", &[], &["EACCES", "ENOENT", "ELOOP"], ELSEWHERE) },
    Row { scenarios: &["path"], ..row(CHILD, "faccessat", &[], &[], ELSEWHERE) },
    // A root of the container's own.
    row(CHILD, "pivot_root", &[], &["EINVAL"], Survived("the root is moved instead, as on an initramfs")),
    row(CHILD, "pidfd_open", &[], &["ENOSYS"], TOP),
    row(CHILD, "setns", &[], &["EINVAL"], TOP),
    row(CHILD, "openat", &["O_NOFOLLOW|O_CLOEXEC|O_PATH|O_DIRECTORY"], &["ENOENT"], MADE),
    row(CHILD, "openat2", &[], &["ENOENT"], MADE),
    row(CHILD, "openat2", &["\"/etc/passwd\"", "\"/etc/group\""], &["EACCES", "ELOOP"], NAMES_NOBODY),
    Row {
        scenarios: &["root", "read_only"],
        ..row(
            PARENT,
            "openat",
            &["variables\", O_RDONLY|O_CLOEXEC|O_PATH", "../root\", O_RDONLY|O_CLOEXEC|O_PATH"],
            &[],
            FOLLOWS,
        )
    },
    Row { scenarios: &["root", "read_only"], ..row(PARENT, "readlinkat", &["/proc/self/fd/"], &[], FOLLOWS) },
    row(
        CHILD,
        "openat2",
        &["\"/etc/h", "\"/etc/r"],
        &["ELOOP"],
        Either("a file of /etc that cannot be mounted over stays the root's own"),
    ),
    row(CHILD, "mount", &["\"squashfs\""], &["EINVAL"], Says("no filesystem in")),
    // If writes go to memory, mounts below the root are read-only where an overlay cannot be mounted.
    row(CHILD, "mkdirat", &["/proc/upper0", "/proc/work0", "\"/proc/root\""], &[], Ends),
    row(CHILD, "mkdirat", &["/proc/upper", "/proc/work"], &[], BELOW),
    row(CHILD, "mount", &["\"/proc/root/"], &[], BELOW),
    Row { scenarios: &["ephemeral"], ..row(CHILD, "statx", &["AT_FDCWD</>, \".\""], &[], Ends) },
    Row { scenarios: &["ephemeral"], ..row(CHILD, "statx", &["\".\""], &[], BELOW) },
    Row { scenarios: &["ephemeral"], ..row(CHILD, "chdir", &["\"/\"", "\"/proc/root\""], &[], Ends) },
    Row { scenarios: &["ephemeral"], ..row(CHILD, "chdir", &[], &[], BELOW) },
    Row {
        scenarios: &["ephemeral"],
        ..row(CHILD, "fchdir", &["</>", "</proc>", "</sys>", "</dev>", "</proc/root>"], &[], Ends)
    },
    Row { scenarios: &["ephemeral"], ..row(CHILD, "fchdir", &[], &[], BELOW) },
    row(CHILD, "mkdirat", &["\"etc\""], &["EEXIST", "EROFS"], OWN_FILE),
    row(CHILD, "mknodat", &["\"hosts\"", "\"hostname\"", "\"resolv.conf\""], &["EEXIST", "EROFS"], OWN_FILE),
    row(PARENT, "openat", &["/etc/resolv.conf", "/etc/hosts"], &[], HOSTS_FILE),
    row(PARENT, "read", &["/etc/resolv.conf>", "/etc/hosts>"], &[], HOSTS_FILE),
    row(PARENT, "uname", &[], &[], Survived("an unknown hostname is left out")),
    row(PARENT, "statx", &["/proc/self/ns/user"], &[], Survived("an unknown user namespace counts as the host's")),
    // Privilege.
    row(
        CHILD,
        "prctl",
        &["PR_CAPBSET_DROP"],
        &["EINVAL"],
        Survived("this kernel has no such capability; the other sets are cleared anyway"),
    ),
    row(CHILD, "unshare", &["CLONE_NEWCGROUP"], &["EINVAL"], Survived("a kernel without cgroups")),
    row(PARENT, "faccessat", &["thermal_throttle"], &[], Survived("most virtual machines have no such counters")),
    row(CHILD, "keyctl", &[], &["ENOSYS"], Survived("a kernel without keyrings")),
    row(
        CHILD,
        "mount_setattr",
        &["MOUNT_ATTR_NODEV"],
        &["ENOSYS"],
        Survived("before Linux 5.12, mydocker remounts each mount separately"),
    ),
    row(
        CHILD,
        "mount_setattr",
        &["MOUNT_ATTR_RDONLY|MOUNT_ATTR_NODEV"],
        &["ENOSYS"],
        Survived("before Linux 5.12, mydocker mounts the file that is stdin, and remounts it"),
    ),
    row(
        CHILD,
        "mount_setattr",
        &["\"/sys\""],
        &["EINVAL"],
        Survived("this path is not a mount, so nothing there is writable"),
    ),
    row(
        CHILD,
        "mount_setattr",
        &["\"/sys\""],
        &["ENOSYS"],
        Survived("before Linux 5.12, mydocker remounts each mount separately"),
    ),
    Row {
        scenarios: &["root"],
        ..row(
            CHILD,
            "mount_setattr",
            &["AT_EMPTY_PATH"],
            &["ENOSYS"],
            Survived("before Linux 5.12, mydocker remounts each mount separately"),
        )
    },
    row(PARENT, "faccessat", &["thermal_throttle"], &[], Survived("counters that are not there need not be hidden")),
    Row { scenarios: &["stdin"], ..row(PARENT, "openat", &["mountinfo"], &[], FOLLOWS) },
    Row { scenarios: &["stdin"], ..row(PARENT, "fstatfs", &["/mountinfo>"], &[], FOLLOWS) },
    Row { scenarios: &["stdin"], ..row(PARENT, "read", &["/mountinfo>"], &[], FOLLOWS) },
    Row { scenarios: NO_LIMITS, ..row(PARENT, "openat", &["/proc/self/cgroup\""], &[], CALLERS) },
    Row { scenarios: NO_LIMITS, ..row(PARENT, "read", &["/cgroup>"], &[], CALLERS) },
    Row { scenarios: NO_LIMITS, ..row(PARENT, "openat", &["mountinfo"], &[], MOUNTS) },
    Row { scenarios: NO_LIMITS, ..row(PARENT, "fstatfs", &["/mountinfo>"], &[], MOUNTS) },
    Row { scenarios: NO_LIMITS, ..row(PARENT, "read", &["/mountinfo>"], &[], MOUNTS) },
    // The layers of the root require it.
    Row { scenarios: &["ephemeral"], ..row(PARENT, "openat", &["mountinfo"], &[], Ends) },
    Row { scenarios: &["ephemeral"], ..row(PARENT, "fstatfs", &["/mountinfo>"], &[], Ends) },
    Row { scenarios: &["ephemeral"], ..row(PARENT, "read", &["/mountinfo>"], &[], Ends) },
    // A hierarchy that carries none of the scenario's limits.
    Row { scenarios: TWO_LIMITS, ..row(PARENT, "openat2", &["/cpuset\", {", "/pids\", {"], &[], NOT_NEEDED) },
    // The numbers of processes are only counted for the record.
    Row {
        scenarios: &["stats"],
        ..row(BOTH, "", &["/pids/", "/pids>", "\"pids.max\"", "subtree_control\""], &[], DEFAULT)
    },
    // With only defaults, no cgroup option is explicit.
    Row { scenarios: &["defaults"], ..row(PARENT, "openat", &["cgroup", "\"mydocker-", "mountinfo"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "openat2", &["cgroup"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "fstatfs", &["cgroup", "mountinfo"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "read", &["cgroup", "mountinfo"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "write", &["cgroup"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "pread64", &[], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "mkdirat", &[], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "flock", &[], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "fchmod", &[], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(PARENT, "faccessat", &[], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(CHILD, "openat", &["/tasks", "/cgroup.procs"], &[], DEFAULT) },
    Row { scenarios: &["defaults"], ..row(CHILD, "write", &["/tasks>", "/cgroup.procs>"], &[], DEFAULT) },
];

/// In the parent, after the command was released: the command's status is kept, whatever fails.
const AFTER: &[Row] = &[
    row(PARENT, "close", &[], &[], Survived("the exit of the process closes it")),
    row(PARENT, "", &[], &["EINTR"], RETRIED),
    // The network.
    row(PARENT, "flock", &["<net:", "/.net-"], &["EAGAIN"], OTHERS),
    row(PARENT, "flock", &["<net:", "/.net-"], &[], Warned("the bridge or its folder may stay")),
    row(PARENT, "wait4", &[", 0, NULL"], &["ECHILD"], Survived("the relay may have been reaped among the orphans")),
    row(PARENT, "ioctl", &["SIOCGIFINDEX"], &["ENODEV"], INTERFACE),
    row(PARENT, "getdents64", &["/.net-"], &[], Warned("the others keep the names of this container")),
    row(PARENT, "openat", &["memory.oom_control", "memory.events"], &[], COUNTERS),
    row(PARENT, "read", &["memory.oom_control>", "memory.events>"], &[], COUNTERS),
    row(PARENT, "unlinkat", &["/records"], &[], Warned("the record stays, until a later run removes it")),
    row(PARENT, "statx", &["</>, \"\"", "</made>, \"\"", "</etc>, \"\""], &[], KEPT_TWICE),
    row(PARENT, "openat", &["\"state\"", "\"status\", O_RDONLY", "/proc/self/cgroup"], &[], SWEEP),
    row(PARENT, "statx", &["/records/"], &[], SWEEP),
    row(PARENT, "openat2", &["/freezer\""], &[], SWEEP),
    row(PARENT, "read", &["/state>", "/cgroup>"], &[], SWEEP),
    row(PARENT, "pread64", &["/state>", "/status>"], &[], SWEEP),
    row(PARENT, "unlinkat", &[], &[], Survived("mydocker retries ten times")),
    row(PARENT, "openat", &["/children\""], &[], ORPHANS),
    row(PARENT, "fstatfs", &["/children>"], &[], ORPHANS),
    row(PARENT, "read", &["/children>"], &[], ORPHANS),
    // Every directory that is opened from here on is searched by the sweep, or swept.
    row(PARENT, "openat", &["O_DIRECTORY", "mydocker-left>"], &[], SWEEP),
    row(PARENT, "getdents64", &[", 8192"], &[], SWEEP),
    row(PARENT, "flock", &[], &[], SWEEP),
    row(PARENT, "statx", &["mydocker-left"], &[], SWEEP),
    row(PARENT, "faccessat", &[], &[], SWEEP),
    row(PARENT, "read", &["mydocker-left/cgroup.procs>"], &[], SWEEP),
    Row { scenarios: &["leftovers"], ..row(PARENT, "kill", &[], &[], SWEEP) },
    Row { scenarios: &["stats"], ..row(PARENT, "openat", &["O_RDONLY"], &[], NO_NUMBER) },
    Row { scenarios: &["stats"], ..row(PARENT, "read", &["/sys/"], &[], NO_NUMBER) },
    Row {
        scenarios: &["stats"],
        ..row(PARENT, "read", &["/stat>"], &[], Survived("a command that has ended counts as executed"))
    },
    row(PARENT, "getrusage", &[], &[], NO_NUMBER),
    // The relay.
    row(PARENT, "ioctl", &["TIOCGWINSZ"], &[], NO_TERMINAL),
    row(
        PARENT,
        "ioctl",
        &["TCGETS", "TIOCGPGRP"],
        &[],
        Survived("mydocker then treats no key as a signal, and passes on no end of input"),
    ),
    row(PARENT, "read", &["^0<"], &[], Loses("unreadable input counts as ended")),
    row(PARENT, "read", &["ptmx>"], &[], Loses("EIO is the normal end of a terminal; other errors end it too")),
    row(PARENT, "write", &["ptmx>"], &[], Loses("a terminal that accepts nothing has no programs any more")),
    row(PARENT, "write", &["^1<"], &["EPIPE"], Loses("the reader of the output has gone, so the terminal hangs up")),
    row(PARENT, "write", &["^1<"], &[], HangsUp("nobody can see the output: the terminal hangs up")),
    row(PARENT, "ppoll", &["ptmx>"], &[], HangsUp("a terminal that cannot be served hangs up")),
    Row {
        scenarios: TERMINALS,
        ..row(
            PARENT,
            "ppoll",
            &["POLLIN}], 1, {tv_sec=0"],
            &[],
            Survived("mydocker checks again whether its end was read"),
        )
    },
    Row { scenarios: TERMINALS, ..row(PARENT, "read", &["<anon_inode:[signalfd]>"], &[], UNFOLLOWED) },
    Row { scenarios: TERMINALS, ..row(PARENT, "wait4", &[], &[], UNFOLLOWED) },
];

/// The scenarios whose parent removes what its child has made in the root.
const UNDONE: &[&str] = &["root", "root_not_found"];

/// The effect that the failure of `call` must have.
pub fn effect(scenario: &str, run: &Traced, call: &Call) -> Effect {
    if !run.is_child(call) && run.first_own().is_none_or(|own| call.began < own) {
        return Effect::Library;
    }
    if UNDONE.contains(&scenario) && !run.is_child(call) && matches!(call.name.as_str(), "unlinkat" | "recvmsg") {
        return Survived("the outcome of the run was decided before this call");
    }
    if call.name == "write" && call.arguments.starts_with("2<") {
        return if call.result.contains(" EINTR ") { RETRIED } else { Effect::Mute };
    }
    let answer = call.name == "openat" && call.result.contains(" ENOENT ") && on_v2("cpuset");
    if answer && V2_LIMITS.iter().any(|limit| call.arguments.contains(limit)) {
        return Survived("without the controller, there is no such limit to escape");
    }
    let has = |part: &&str| match part.strip_prefix('^') {
        Some(start) => call.arguments.starts_with(start),
        None => call.arguments.contains(part),
    };
    let fits = |row: &&Row| {
        (row.scenarios.is_empty() || row.scenarios.contains(&scenario))
            && row.child.is_none_or(|child| child == run.is_child(call))
            && (row.call.is_empty() || row.call == call.name)
            && (row.about.is_empty() || row.about.iter().any(has))
            && (row.errnos.is_empty() || row.errnos.iter().any(|errno| call.result.contains(&format!(" {errno} "))))
    };
    let after = !run.is_child(call) && run.release().is_some_and(|go| go.began < call.began);
    let (table, default) = match after {
        _ if VERBS.contains(&scenario) => (OF_VERBS, Ends),
        true => (AFTER, Warned("the command may have run: its status is kept")),
        false => (TABLE, Ends),
    };
    table.iter().find(fits).map_or(default, |row| row.effect)
}

/// Why files that a failed run has made in a directory root may stay there.
pub fn may_stay_in_root(run: &Traced) -> Option<&'static str> {
    let failed = |call: &&Call| !run.is_child(call) && call.injected() && !call.result.contains(" EINTR ");
    let removal = |call: &Call| matches!(call.name.as_str(), "unlinkat" | "recvmsg");
    let refused = run.calls.iter().filter(failed).any(removal);
    refused.then_some("the removal itself failed: the files that stay are empty, and in the user's own directory")
}

/// Why what a run has made for its network may stay: once the command was let go, only its removal can fail.
pub fn may_stay_in_network(run: &Traced) -> Option<&'static str> {
    let go = run.release()?.began;
    let late = |call: &&Call| !run.is_child(call) && call.began > go && call.injected();
    // Another process seems to hold the lock, or nobody can.
    let removal =
        |call: &Call| matches!(call.name.as_str(), "unlinkat" | "flock") || call.arguments.contains("RTM_DELLINK");
    let refused = run.calls.iter().filter(late).any(removal);
    refused.then_some("the removal itself failed, and a message says so: the next run on the bridge removes what stays")
}

/// Whether a run in which this call always fails may leave something: the call would have found or removed it.
pub fn removes(call: &str) -> bool {
    matches!(call, "unlinkat" | "faccessat")
}
