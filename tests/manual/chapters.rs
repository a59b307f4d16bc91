//! The chapters that only the man pages have. They are not part of the program.

use mydocker::cgroup::limits::{self, Setting, Settings};
use mydocker::cgroup::{Controller, Controllers, Hierarchy, Version, v2};
use mydocker::spec::{LimitWords, Limits};
use mydocker::sys::Dir;

/// A page by the name of its command; `""` is mydocker(1).
pub type Page = &'static str;

/// The commands that read the records of containers.
const OF_RECORDS: &[Page] = &["exec", "ps", "logs", "wait", "stop", "kill", "pause", "unpause", "stats", "rm"];

/// Something that is in the chapter of some pages: an environment variable, or a file.
pub struct Entry {
    /// Its names.
    pub names: &'static [&'static str],
    /// What it is for.
    pub text: &'static str,
    /// Whether the commands about records have it.
    of_records: bool,
    /// The other pages that have it, beside that of mydocker(1) and that of `run`.
    pages: &'static [Page],
}

impl Entry {
    /// Whether it is in the chapter of this page.
    pub fn is_in(&self, page: Page) -> bool {
        ["", "run"].contains(&page) || self.of_records && OF_RECORDS.contains(&page) || self.pages.contains(&page)
    }
}

/// The environment variables that mydocker reads.
pub const VARIABLES: &[Entry] = &[
    Entry {
        names: &["MYDOCKER_STATE"],
        text: "the folder of the records, unless --state names one",
        of_records: true,
        pages: &[],
    },
    Entry {
        names: &["XDG_RUNTIME_DIR"],
        text: "if this is an absolute path, the records of an ordinary user are in its subfolder mydocker",
        of_records: true,
        pages: &[],
    },
    Entry {
        names: &["MYDOCKER_SUBNET"],
        text: "the network of a bridge, unless --subnet names one; default 10.88.0.0/16",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["NO_COLOR"],
        text: "if it is set and not empty, --trace prints no colours to a terminal",
        of_records: false,
        pages: &["exec"],
    },
    Entry {
        names: &["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"],
        text: "socket activation, sd_listen_fds(3): if LISTEN_PID is the pid of mydocker, the command inherits LISTEN_FDS \
               descriptors, from 3 on, and these variables, with its own pid as LISTEN_PID",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["PATH"],
        text: "the directories in which the command is looked up; in a root of its own these are docker's: /usr/local/sbin, \
               /usr/local/bin, /usr/sbin, /usr/bin, /sbin and /bin",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["HOME"],
        text: "passed to the command, like all other variables, if the command has no root of its own and -u is not given; \
               otherwise HOME is the home directory of the command's user",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["TERM"],
        text: "passed to a command without a root of its own; in a root of its own, with -t, it is xterm unless -e sets it",
        of_records: false,
        pages: &[],
    },
];

/// The files of mydocker, and those of the host that it reads or writes.
pub const FILES: &[Entry] = &[
    Entry {
        names: &["/run/mydocker/NAME"],
        text: "the record of a container that root started with this name; the records of an ordinary user are in \
               $XDG_RUNTIME_DIR/mydocker, or in /tmp/mydocker-UID",
        of_records: true,
        pages: &[],
    },
    Entry {
        names: &["/run/mydocker/NAME/log", "/run/mydocker/NAME/log.old"],
        text: "the output of a container that was started with -d, each piece with its time",
        of_records: false,
        pages: &["logs"],
    },
    Entry {
        names: &["/run/mydocker/NAME/stdin"],
        text: "with -d and -i, or -d and -t: the FIFO that is the stdin of the command",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["/sys/fs/cgroup/.../mydocker-NAME"],
        text: "the cgroups of a container, children of the caller's cgroups; without --name, NAME is mydocker's pid",
        of_records: false,
        pages: &["exec", "stats"],
    },
    Entry {
        names: &["cgroup.freeze", "freezer.state"],
        text: "the files of its cgroup that pause and resume it, on cgroup v2 and on cgroup v1",
        of_records: false,
        pages: &["pause", "unpause"],
    },
    Entry {
        names: &["/etc/subuid", "/etc/subgid"],
        text: "the range of ids that an ordinary user may use inside, mapped by newuidmap(1) and newgidmap(1)",
        of_records: false,
        pages: &[],
    },
    Entry { names: &["/usr/share/zoneinfo"], text: "the time zones of --tz", of_records: false, pages: &[] },
];

/// The exit statuses of a page, each with its meaning.
pub fn statuses(page: Page) -> &'static [(&'static str, &'static str)] {
    match page {
        "" => &[
            ("that of the command", "run and exec; their pages say more"),
            ("0", "success"),
            ("1", "check: on this host, mydocker run without options does not work"),
            ("125", "mydocker itself failed, and a line on stderr says why"),
        ],
        "run" => OF_COMMAND,
        "exec" => OF_EXEC,
        "check" => &[
            ("0", "mydocker run without options works"),
            ("1", "mydocker run without options does not work"),
            ("125", "the command line is wrong, or the report could not be written"),
        ],
        "ps" => &[("0", "the list was printed, even if it is empty"), FAILED],
        "logs" => &[("0", "the log was printed"), FAILED],
        "stats" => &[("0", "the numbers were printed"), FAILED],
        "wait" => &[
            ("0", "all containers have ended, and their statuses were printed, whatever they are"),
            (
                "125",
                "one of the containers does not exist, or its keeper was killed (its status is then printed as 137); the \
                 others were waited for",
            ),
        ],
        "rm" => &[
            ("0", "they were removed; with -f also if a container does not exist, and then a line on stderr says so"),
            ("125", "at least one of them was not removed, and a line on stderr says why; the others were removed"),
        ],
        _ => &[
            ("0", "success for every container"),
            ("125", "failure for at least one container, and a line on stderr says why; the others were dealt with"),
        ],
    }
}

const FAILED: (&str, &str) = ("125", "mydocker failed, and a line on stderr says why");

/// Those of `run`.
const OF_COMMAND: &[(&str, &str)] = &[
    ("the command's own", "it exited"),
    ("0", "with -d: the command was executed; with --dry-run: the plan was printed"),
    ("128 + n", "signal n ended it"),
    ("125", "mydocker itself failed, and nothing was run"),
    ("126", "the command was found and cannot be executed"),
    ("127", "the command was not found"),
];

/// Those of `exec`: the same, and one more.
const OF_EXEC: &[(&str, &str)] = {
    let [exited, _, signalled, failed, rest @ ..] = OF_COMMAND else { unreachable!() };
    let [cannot, missing] = rest else { unreachable!() };
    &[*exited, *signalled, ("137", "also: the container ended while the command ran"), *failed, *cannot, *missing]
};

/// What a page says about signals.
pub fn signals(page: Page) -> Option<&'static str> {
    Some(match page {
        "" | "run" => {
            "TERM, INT, HUP, QUIT and all other signals whose default is to end a process end the container, unless the command \
             catches, ignores or blocks the signal: then mydocker passes it on to the command. USR1, USR2, WINCH and CONT are \
             always passed on. TSTP stops mydocker and the command. CHLD, PIPE and URG are not passed on. If KILL ends mydocker, \
             the container ends, too."
        }
        "exec" => {
            "As with mydocker run, but for the command of exec alone: a signal that would end a process ends the command, unless \
             the command catches, ignores or blocks it: then exec passes it on. The other processes of the container get no \
             signal."
        }
        "stop" => {
            "stop sends TERM, or the signal of run --stop-signal, to the mydocker process that keeps the container. That process \
             ends the container, or passes the signal on, as mydocker-run(1) says. If the container still runs after the time \
             of -t, it gets KILL."
        }
        "kill" => {
            "The signal goes to the first process of the container. That process is PID 1 there: the kernel delivers only the \
             signals that it has a handler for, and KILL and STOP. KILL and TERM also end the restarts of run --restart, and \
             unpause a paused container."
        }
        "pause" => {
            "A paused container receives signals when it is unpaused. mydocker stop, kill with KILL or TERM, and rm -f unpause it."
        }
        "rm" => "With -f, a running container gets KILL.",
        _ => return None,
    })
}

/// Examples, each with what it does.
pub fn examples(page: Page) -> &'static [(&'static str, &'static str)] {
    match page {
        "run" => &[
            ("mydocker run -t -m 100m --cpus 0.5 --pids-limit 50 sh", "A shell under limits."),
            ("mydocker run --rootfs root --read-only -t busybox sh", "A root that stays as it is; not its first run."),
            (
                "mydocker run --ephemeral sh -c 'rm -rf /usr/share/doc'",
                "The host's own files, with all writes in memory.",
            ),
            (
                "mydocker run -d --name web -p 80:80 --rootfs root busybox httpd -f",
                "A server in the background, on port 80 of the host.",
            ),
            ("mydocker run --stats=json -m 100m make", "A build, and what it used."),
            ("mydocker run --dry-run sh", "What would be done, step by step."),
            ("systemd-run --user --scope -p Delegate=yes mydocker run -m 100m sh", "An ordinary user, with a limit."),
        ],
        "check" => &[
            ("mydocker check", "What works on this host, and how to get the rest to work."),
            ("mydocker check --json", "The same for a program."),
        ],
        "exec" => &[
            ("mydocker exec -t web busybox sh", "A shell in the container web."),
            ("mydocker exec -u 1000 -w /etc web busybox ls -l", "A command as another user, in another directory."),
        ],
        "ps" => &[
            ("mydocker ps -a", "All containers, also those that have ended."),
            (
                "mydocker ps -a --filter status=exited -q | xargs -r mydocker rm",
                "Removes the records of all containers that have ended.",
            ),
        ],
        "logs" => &[
            ("mydocker logs -f -n 20 web", "The last 20 lines, and what follows."),
            ("mydocker logs -t --since 10m web", "The last ten minutes, each line with its time."),
        ],
        "wait" => &[("status=$(mydocker wait job)", "Waits for a container, and keeps its status.")],
        "stop" => &[
            ("mydocker stop web db", "Ends two containers; both get the signal before stop waits for the first."),
            ("mydocker stop -t 60 db", "Gives it a minute."),
        ],
        "kill" => &[
            ("mydocker kill web", "Ends it at once."),
            ("mydocker kill -s HUP web", "Asks a server to read its configuration again."),
        ],
        "pause" => &[("mydocker pause web", "Freezes all its processes.")],
        "unpause" => &[("mydocker unpause web", "Lets them go on.")],
        "stats" => &[
            ("mydocker stats web", "A line every second."),
            ("mydocker stats --no-stream --json web", "One object, for a program."),
        ],
        "rm" => &[
            ("mydocker rm job", "Removes the record of a container that has ended."),
            ("mydocker rm -f web", "Ends it first, if it runs."),
        ],
        _ => &[],
    }
}

/// What holds for every limit: paragraphs.
pub const LIMITS: &[&str] = &[
    "A limit is a file of a cgroup. mydocker writes the value to it before the command starts, and reads it back: if the kernel \
     has changed the value, nothing is run. mydocker uses each controller where this host has it: in a hierarchy of cgroup v1 if \
     one has that controller (/proc/self/cgroup lists them), and otherwise in cgroup v2. So on a hybrid host the limits of one \
     run may be in both.",
    "On v1 the container has one cgroup in each hierarchy in which it is limited, a child of the caller's cgroup there. The child \
     process joins them before it executes the command. As a rule only root can make one.",
    "On v2 the container has one cgroup, and where clone3(2) works its first process is created in it. A v2 cgroup that has \
     processes cannot have children with controllers. If the caller's cgroup is such a one, the container's cgroup is made in the \
     nearest cgroup above that can have children. It then gets the caller's pids.max as well; and if the container would escape \
     another limit of the caller's cgroup there, it gets no cgroup. An ordinary user can make cgroups where one has been \
     delegated to them. --cgroup-parent names another parent, on both versions.",
    "With max, or -1 where the option takes it, mydocker writes nothing, and only the limits of the cgroups above hold. The number \
     of OOM kills that a run reports is oom_kill in memory.oom_control on v1, and in memory.events on v2. mydocker pause writes \
     to freezer.state on v1 and to cgroup.freeze on v2.",
    "Each option writes these files:",
];

/// Limits as they may be asked for, and what becomes of them.
pub struct Shown {
    /// The options.
    pub options: &'static str,
    /// The same, read.
    words: LimitWords<'static>,
    /// What differs between the versions, and what else there is to know.
    pub differs: &'static str,
}

/// Every limit.
pub fn shown() -> Vec<Shown> {
    let none = LimitWords::default;
    vec![
        Shown {
            options: "-m 100m",
            words: LimitWords { memory: Some("100m"), ..none() },
            differs: "The kernel rounds down to whole pages. The minimum is 1m, and the default 200m.",
        },
        Shown {
            options: "-m 100m --memory-swap 150m",
            words: LimitWords { memory: Some("100m"), swap: Some("150m"), ..none() },
            differs: "v1 limits memory and swap together. v2 limits swap alone, so mydocker writes the difference there. The \
                      default is no swap. A kernel that does not account swap has neither file: the default is left out then, \
                      and with the option nothing is run. -m max also lifts the limit on swap.",
        },
        Shown {
            options: "--memory-reservation 50m",
            words: LimitWords { reservation: Some("50m"), ..none() },
            differs: "When the host runs short of memory: on v1 the kernel first reclaims from cgroups that use more than this \
                      value; on v2 it reclaims last from cgroups that use less. On v2 that protects a cgroup only as far as the \
                      cgroups above it are protected.",
        },
        Shown {
            options: "-c 512",
            words: LimitWords { shares: Some("512"), ..none() },
            differs: "v1 has shares from 2 to 262144, and the kernel's default is 1024. v2 has weights from 1 to 10000, and the \
                      kernel's default is 100. mydocker converts shares to a weight as runc and crun do: 1024 shares are 100. On \
                      v1 a number out of the range ends the run, because the kernel changes it; on v2 it becomes the smallest or \
                      the largest weight. mydocker's default is 2048 shares.",
        },
        Shown {
            options: "--cpu-set 0-2 --cpu-mems 0",
            words: LimitWords { cpus: Some("0-2"), mems: Some("0"), ..none() },
            differs: "On v1 both lists must be set before a process can join. If one is not given, mydocker writes that of the \
                      cgroup above. In a hierarchy that is mounted with noprefix the files are called cpus and mems. On v2 a list \
                      that is not given is not written. The file there also keeps CPUs that the cgroup above does not have, so \
                      mydocker compares the effective list. On both versions a CPU or node that the cgroup above does not have \
                      ends the run.",
        },
        Shown {
            options: "--cpus 1.5",
            words: LimitWords { quota: Some("1.5"), ..none() },
            differs: "The same as --cpu-quota 150000. If the cgroup above has less CPU time, v1 refuses the value, and nothing is \
                      run; v2 accepts it, and the smaller limit holds.",
        },
        Shown {
            options: "--cpu-quota 50000 --cpu-period 200000",
            words: LimitWords { cpu_quota: Some("50000"), cpu_period: Some("200000"), ..none() },
            differs: "A quarter of a CPU, in longer periods. The difference between the versions is that of --cpus.",
        },
        Shown {
            options: "--pids-limit 100",
            words: LimitWords { pids: Some("100"), ..none() },
            differs: "Processes and threads; beyond the limit fork(2) fails with EAGAIN. The versions do not differ.",
        },
    ]
}

impl Shown {
    /// What is written on this version, each file with its value: `memory.max 104857600`.
    pub fn written(&self, version: Version) -> Vec<String> {
        let mut limits = Limits::default();
        limits.read(&self.words).unwrap_or_else(|_| panic!("{}", self.options));
        let is_list = self.words.cpus.is_some();
        let controllers = Controllers::that_are(&|controller| is_list || controller != Controller::Cpuset);
        let mut settings = Settings::default();
        match version {
            Version::V1 => {
                let top = Dir::open(None, c"/").unwrap_or_else(|_| panic!("no root"));
                let hierarchy = Hierarchy { version, top, callers: c".", controllers, list: c"", noprefix: false };
                let done = limits::v1(&limits, controllers, &hierarchy, c".", &mut settings);
                done.unwrap_or_else(|_| panic!("{}", self.options));
            }
            Version::V2 => v2::settings(&limits, controllers, None, &mut settings),
        }
        settings.0.iter().filter(|setting| setting.explicit).map(written).collect()
    }
}

/// One file, and what is written to it.
fn written(setting: &Setting) -> String {
    let (file, value) = (setting.file.to_string_lossy(), String::from_utf8_lossy(setting.value));
    match setting.effective {
        Some(second) => format!("{file} {value} (and {} is compared)", second.to_string_lossy()),
        None => format!("{file} {value}"),
    }
}
