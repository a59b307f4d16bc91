//! The runs whose calls are made to fail: every path through mydocker that this host offers.

use crate::judge::Base;
use crate::preparation::{self, BELOW, Preparation};
use crate::relayed;
use crate::scenario::Scenario;
use crate::support::needs::Needs;
use crate::worker::needs_for_own_cgroups;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// The four limits, and other options of a run.
pub const FULL: &str = "-m 100m --cpu-set 0 --cpu-mems 0 --cpu-shares 2048 --pids-limit 50 --hostname x -w /";

/// The calls of a command that ends a container, without the many reads of /proc/locks, and what `pause` makes, too.
const ENDING: &[&str] = &[
    "openat",
    "statx",
    "flock",
    "pread64",
    "pidfd_open",
    "pidfd_send_signal",
    "ppoll",
    "write",
    "unlinkat",
    "kill",
    "close",
];

/// Two limits.
const TWO: &str = "-m 100m --cpu-shares 2048";

/// Splits at white space.
fn words(words: &str) -> Vec<String> {
    words.split_whitespace().map(String::from).collect()
}

pub fn scenarios(folder: &Path) -> Vec<Scenario> {
    let file = |name: &str| folder.join(name).display().to_string();
    let four = Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS;
    let two = Needs::ROOT | Needs::MEMORY | Needs::CPU;
    let base = |name: &'static str, options: &str, needs: Needs| Scenario {
        name,
        verb: "run",
        options: words(options),
        command: file("leaves"),
        group: None,
        base: Base::Works,
        stdout: "",
        about: &[],
        always: None,
        only: &[],
        for_ever: false,
        before: || Ok(()),
        prepare: Preparation::none,
        may_end: false,
        needs,
    };
    let in_background = Needs::FREEZER | needs_for_own_cgroups();
    // Into a container that runs: it stays as it is, whatever fails.
    let exec = |name, options: &str| Scenario {
        verb: "exec",
        options: words(&format!("{options} {}", preparation::name())),
        about: &["failures-name"],
        prepare: Preparation::container,
        ..base(name, "", two | in_background)
    };
    // A command about it.
    let about = |name, verb, options: &str, stdout: &'static str| Scenario {
        verb,
        options: words(&format!("{options} {}", preparation::name())),
        command: String::new(),
        base: Base::Answers,
        stdout,
        // Not mmap: without memory for its heap it aborts.
        only: &[
            "openat",
            "statx",
            "flock",
            "fstatfs",
            "read",
            "pread64",
            "pidfd_open",
            "pidfd_send_signal",
            "ppoll",
            "write",
            "unlinkat",
            "nanosleep",
            "kill",
            "getdents64",
            "close",
        ],
        about: &["failures-name", "status", "log"],
        prepare: Preparation::container,
        ..base(name, "", two | in_background)
    };
    let itself = std::env::current_exe().unwrap_or_default().display().to_string();
    let own_name: &'static str = preparation::name().leak();
    let named = |name| Scenario {
        group: Some(preparation::name()),
        ..base(name, &format!("{TWO} --name {}", preparation::name()), two | needs_for_own_cgroups())
    };
    vec![
        Scenario { for_ever: true, ..base("full", FULL, four) },
        base("defaults", "", Needs::ROOT),
        // No PID namespace: mydocker must look for orphans. Two signals are ignored, and must be reset.
        Scenario {
            before: ignore_two_signals,
            ..base("host", &format!("{TWO} --pid host --network host --ipc host --uts host"), two)
        },
        // stdin is a file, which is opened again, and whose offset is handed back.
        Scenario { before: stdin_is_a_file, ..base("stdin", "--no-limits --privileged --read-only", Needs::ROOT) },
        Scenario { for_ever: true, ..base("terminal", &format!("-t {TWO}"), two | Needs::TERMINAL) },
        // A terminal on both sides, with data to relay in both directions.
        Scenario {
            command: file("reads"),
            stdout: "x\r\n.",
            prepare: Preparation::terminal,
            only: &["ioctl", "ppoll", "read", "write", "wait4", "signalfd4"],
            for_ever: true,
            ..base("users_terminal", "-t --no-limits", Needs::ROOT | Needs::TERMINAL)
        },
        Scenario { for_ever: true, ..base("init", &format!("--init {TWO}"), two) },
        Scenario {
            only: &["setpgid", "ioctl", "clone", "close_range", "rt_sigtimedwait", "wait4", "prctl", "rt_sigprocmask"],
            ..base("init_terminal", "-t --init --no-limits", Needs::ROOT | Needs::TERMINAL)
        },
        Scenario {
            options: [words("--no-limits -e B=2 --env-file"), vec![file("variables")]].concat(),
            only: &["openat", "read", "close"],
            ..base("environment", "", Needs::ROOT)
        },
        // How the command is found: the second directory of PATH, and one word that is split at blanks, as older
        // versions accept it.
        Scenario {
            options: words(&format!("--no-limits -e PATH=/nowhere:{}", folder.display())),
            command: "leaves with words".into(),
            only: &["execve", "faccessat", "openat", "read"],
            ..base("path", "", Needs::ROOT)
        },
        // Runs that end without a command: here the failures hit the clean-up.
        Scenario {
            command: "/nowhere/leaves".into(),
            base: Base::Refuses(127, "not found", "execve"),
            ..base("not_found", FULL, four)
        },
        Scenario {
            command: file("script"),
            base: Base::Refuses(126, "its interpreter \"/nowhere/sh\" is missing", "execve"),
            only: &["execve", "faccessat", "openat", "read", "write"],
            ..base("no_interpreter", "--no-limits", Needs::ROOT)
        },
        Scenario {
            base: Base::Refuses(125, "not among the CPUs", "write"),
            ..base("refused", &format!("{TWO} --cpu-set 1023"), two | Needs::CPU_ON_V1 | Needs::CPUSET)
        },
        // The kernel reports the directory as busy when mydocker removes it.
        Scenario {
            always: Some("inject=unlinkat:error=EBUSY:when=1..3"),
            only: &["nanosleep", "getdents64", "wait4"],
            ..base("busy", FULL, four)
        },
        // Leftovers to sweep.
        Scenario { prepare: Preparation::leftovers, ..base("leftovers", FULL, four | needs_for_own_cgroups()) },
        Scenario {
            prepare: Preparation::group_below,
            only: &["openat", "mkdirat", "unlinkat", "read", "write"],
            ..base("cgroup_parent", &format!("{FULL} --cgroup-parent {BELOW}"), four | needs_for_own_cgroups())
        },
        Scenario { prepare: Preparation::name_left, ..named("name_left") },
        Scenario {
            prepare: Preparation::name_taken,
            // This refusal is not due to a call that fails.
            base: Base::Refuses(125, "already running", ""),
            ..named("name_taken")
        },
        // A root of the container's own, of each kind, with everything that is mounted in it.
        Scenario {
            options: [
                words("--no-limits --tmpfs /scratch -w /made/here -u 7:8 --ulimit nofile=99 --shm-size 1m -v"),
                vec![format!("{}:/made/variables:ro", file("variables"))],
                words("--rootfs ../root"),
            ]
            .concat(),
            command: "/leaves".into(),
            prepare: Preparation::root,
            ..base("root", "", Needs::ROOT)
        },
        Scenario {
            options: words("--no-limits --init --rootfs ../root"),
            command: "/nowhere/leaves".into(),
            base: Base::Refuses(127, "not found", "execve"),
            prepare: Preparation::root,
            only: &["clone", "close_range", "kill", "rt_sigtimedwait", "execve", "unlinkat", "sendmsg", "recvmsg"],
            ..base("root_not_found", "", Needs::ROOT)
        },
        Scenario {
            options: [words("--no-limits --rootfs"), vec![file("image")]].concat(),
            command: "/leaves".into(),
            about: &["image"],
            only: &[
                "ioctl",
                "mount",
                "openat",
                "pread64",
                "mkdirat",
                "statx",
                "fchdir",
                "setns",
                "mount_setattr",
                "pivot_root",
                "umount2",
            ],
            ..base("image", "", Needs::ROOT | Needs::MKSQUASHFS)
        },
        Scenario {
            options: words("--no-limits --ephemeral"),
            only: &["mount", "mkdirat", "chdir", "fchdir", "statx", "openat", "read", "mount_setattr"],
            ..base("ephemeral", "", Needs::ROOT)
        },
        Scenario {
            options: words("--no-limits --read-only"),
            only: &["mount_setattr", "openat"],
            ..base("read_only", "", Needs::ROOT)
        },
        // What the caller has, and the command does not get: groups, and without the filter a session keyring.
        Scenario {
            before: have_groups,
            only: &["setgroups", "keyctl", "capset"],
            ..base("callers", "--no-limits --security-opt seccomp=unconfined", Needs::ROOT)
        },
        // Files that a run writes for other programs to read.
        Scenario {
            options: [words(&format!("{TWO} --pid-file")), vec![file("pid"), format!("--stats={}", file("stats"))]]
                .concat(),
            only: &["openat", "read", "write", "close", "clock_gettime", "wait4", "getrusage"],
            ..base("stats", &format!("{TWO} --pid-file ../pid --stats=../stats"), two)
        },
        // A bridge that the run makes, its packet filter, and its names.
        Scenario {
            prepare: Preparation::network,
            about: &["mydocker0", "nf_tables", "eth0", "RTM_", "command pipe", "bridge"],
            only: &[
                "socket",
                "sendto",
                "ioctl",
                "read",
                "write",
                "flock",
                "mkdirat",
                "unlinkat",
                "openat",
                "open_tree",
                "statx",
                "fchmod",
                "ftruncate",
                "getdents64",
            ],
            ..base("bridge", "--no-limits --network bridge,forward", Needs::ROOT | Needs::BRIDGE)
        },
        // The relay of published ports, one of a stream and one of datagrams.
        Scenario {
            prepare: Preparation::network,
            about: &["127.0.0.1::80", ":53/udp"],
            only: &[
                "socket",
                "setsockopt",
                "bind",
                "listen",
                "getsockname",
                "pipe2",
                "pidfd_open",
                "clone",
                "read",
                "setns",
                "capset",
                "seccomp",
                "close_range",
                "prlimit64",
                "epoll_create1",
                "epoll_ctl",
                "epoll_pwait",
                "wait4",
                "prctl",
            ],
            ..base("ports", "--no-limits -p 127.0.0.1::80 -p :53/udp", Needs::ROOT)
        },
        // And what comes through it: a connection, and a datagram, each with an answer.
        Scenario {
            options: [words(relayed::OPTIONS), vec![itself]].concat(),
            command: "--serve".into(),
            prepare: Preparation::caller,
            about: &["8080", "5353"],
            only: &[
                "accept4",
                "connect",
                "getsockopt",
                "splice",
                "recvfrom",
                "sendto",
                "shutdown",
                "recvmsg",
                "sendmsg",
                "epoll_ctl",
                "epoll_pwait",
            ],
            ..base("relayed", "", Needs::ROOT)
        },
        // A network that is there already. A relay joins it, too, in its own way.
        Scenario {
            prepare: Preparation::network,
            about: &["netns"],
            only: &["openat", "setns"],
            ..base("joined", "--no-limits --network ns:../netns", Needs::ROOT)
        },
        Scenario {
            prepare: Preparation::networks,
            about: &["netns", "127.0.0.1::80"],
            only: &["openat"],
            ..base("joined_ports", "--no-limits --network ns:../netns -p 127.0.0.1::80", Needs::ROOT)
        },
        // The network of a container that runs.
        Scenario {
            options: words(&format!("--no-limits --network container:{}", preparation::name())),
            prepare: Preparation::neighbour,
            about: &["failures-name"],
            only: &["openat", "statx", "flock", "read", "pread64", "pidfd_open", "fstatfs", "ppoll", "setns"],
            ..base("neighbour", "", Needs::ROOT)
        },
        // A program that connects it with the outside: how it is started, and waited for.
        Scenario {
            prepare: Preparation::network,
            about: &["slirp4netns"],
            only: &["pipe2", "clone", "setsid", "dup3", "close_range", "execve", "ppoll", "wait4"],
            ..base("slirp4netns", "--no-limits --network slirp4netns", Needs::ROOT | Needs::SLIRP4NETNS)
        },
        exec("exec", ""),
        Scenario {
            // What its second child says comes out of the terminal: its calls are those of exec_privileged.
            only: &["socketpair", "sendmsg", "recvmsg", "ioctl", "dup3", "setsid", "clone"],
            needs: two | in_background | Needs::TERMINAL,
            ..exec("exec_terminal", "-t")
        },
        // Its first child drops nothing here: so the calls of its second one can be reached.
        Scenario {
            prepare: Preparation::privileged_container,
            only: &["prctl", "ppoll", "rt_sigprocmask", "clone", "wait4", "execve", "madvise", "close_range", "mmap"],
            ..exec("exec_privileged", "")
        },
        // Among the processes of a container that runs.
        Scenario {
            options: words(&format!("--no-limits --pid container:{} --pid-file ../pid", preparation::name())),
            about: &["failures-name"],
            prepare: Preparation::container,
            only: &[
                "openat",
                "setns",
                "open_tree",
                "fchdir",
                "chroot",
                "fstatfs",
                "move_mount",
                "mmap",
                "madvise",
                "close_range",
                "clone",
                "setsid",
                "prctl",
                "pidfd_open",
                "signalfd4",
                "ppoll",
                "wait4",
                "read",
                "write",
                "execve",
            ],
            ..base("pid_of", "", two | in_background)
        },
        // The commands about one.
        Scenario { may_end: true, only: ENDING, ..about("stop", "stop", "", own_name) },
        Scenario { may_end: true, only: ENDING, ..about("rm", "rm", "-f", own_name) },
        about("pause", "pause", "", own_name),
        about("logs", "logs", "", "."),
        Scenario { options: Vec::new(), ..about("ps", "ps", "", own_name) },
        Scenario { may_end: true, prepare: Preparation::ended_container, ..about("wait", "wait", "", "42\n") },
        // No cgroup is mounted: mydocker makes detached mounts of its own.
        Scenario { before: unmount_cgroups, ..base("nothing_mounted", FULL, four | Needs::MOUNTED) },
    ]
}

fn have_groups() -> io::Result<()> {
    let groups = [4, 24];
    // SAFETY: the array has that many entries
    match unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn ignore_two_signals() -> io::Result<()> {
    // SAFETY: SIG_IGN is no handler, so signal stores two integers
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGUSR1, libc::SIG_IGN);
    }
    Ok(())
}

fn stdin_is_a_file() -> io::Result<()> {
    // SAFETY: open takes a string that a NUL ends, dup2 two integers
    match unsafe { libc::dup2(libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The mount points of the cgroups: they are listed before the fork.
pub static POINTS: OnceLock<Vec<CString>> = OnceLock::new();

fn unmount_cgroups() -> io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for point in POINTS.get().into_iter().flatten() {
        unmount(point.as_c_str(), UnmountFlags::DETACH)?;
    }
    Ok(())
}
