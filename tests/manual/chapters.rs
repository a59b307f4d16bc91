//! What the man pages alone say: it is made here, and no part of the program.

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
        text: "an ordinary user's records are in the folder mydocker there, if this is an absolute path",
        of_records: true,
        pages: &[],
    },
    Entry {
        names: &["MYDOCKER_SUBNET"],
        text: "the network of a bridge, such as 10.88.0.0/16, unless --subnet names one",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["NO_COLOR"],
        text: "if it is set and not empty, --trace prints no colours, not even to a terminal",
        of_records: false,
        pages: &["exec"],
    },
    Entry {
        names: &["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"],
        text: "socket activation, sd_listen_fds(3): if LISTEN_PID is the pid of mydocker, the command gets the descriptors from 3 \
               on, as many as LISTEN_FDS says, and these variables, with its own pid as LISTEN_PID",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["PATH"],
        text: "where the command is looked for; in a root of its own, where docker looks: /usr/local/sbin, /usr/local/bin, \
               /usr/sbin, /usr/bin, /sbin and /bin",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["HOME"],
        text: "is passed on, like all other variables, if the command has no root of its own, and no -u names a user; else the \
               command gets the home of its user",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["TERM"],
        text: "is passed on likewise; in a root of its own it is xterm with -t, unless -e sets it",
        of_records: false,
        pages: &[],
    },
];

/// The files of mydocker, and those of the host that it reads or writes.
pub const FILES: &[Entry] = &[
    Entry {
        names: &["/run/mydocker/NAME"],
        text: "the record of root's container of this name; those of an ordinary user are in $XDG_RUNTIME_DIR/mydocker, or else in \
               /tmp/mydocker-UID",
        of_records: true,
        pages: &[],
    },
    Entry {
        names: &["/run/mydocker/NAME/log", "/run/mydocker/NAME/log.old"],
        text: "what a container has written that was started with -d, each piece with its time",
        of_records: false,
        pages: &["logs"],
    },
    Entry {
        names: &["/run/mydocker/NAME/stdin"],
        text: "with -d and -i: the FIFO that is its stdin",
        of_records: false,
        pages: &[],
    },
    Entry {
        names: &["/sys/fs/cgroup/.../mydocker-NAME"],
        text: "the cgroups of a container, children of the cgroup of its caller; without a name they have mydocker's pid",
        of_records: false,
        pages: &["exec", "stats"],
    },
    Entry {
        names: &["cgroup.freeze", "freezer.state"],
        text: "in its cgroup, what stops it: that of cgroup v2, and that of v1",
        of_records: false,
        pages: &["pause", "unpause"],
    },
    Entry {
        names: &["/etc/subuid", "/etc/subgid"],
        text: "the ids that an ordinary user's container may have, mapped by newuidmap(1) and newgidmap(1)",
        of_records: false,
        pages: &[],
    },
    Entry { names: &["/usr/share/zoneinfo"], text: "the time zones of --tz", of_records: false, pages: &[] },
];

/// The exit statuses of a page, each with its meaning.
pub fn statuses(page: Page) -> &'static [(&'static str, &'static str)] {
    match page {
        "" => &[
            ("that of the command", "for run and exec, whose pages say more"),
            ("0", "it has done what it was told to do"),
            ("1", "check: mydocker run does not work without options on this host"),
            ("125", "mydocker itself failed, and a line on stderr says why"),
        ],
        "run" => OF_COMMAND,
        "exec" => OF_EXEC,
        "check" => &[
            ("0", "mydocker run works without options"),
            ("1", "it does not"),
            ("125", "the command line is wrong, or the report could not be written"),
        ],
        "ps" => &[("0", "the list is printed, also if it is empty"), FAILED],
        "logs" => &[("0", "the log is printed"), FAILED],
        "stats" => &[("0", "the numbers are printed"), FAILED],
        "wait" => &[
            ("0", "all containers have ended, and the status of each is printed, whatever it is"),
            (
                "125",
                "there is no such container, or its keeper was killed, which counts as 137; the others are waited for",
            ),
        ],
        "rm" => &[
            ("0", "they are removed; with -f also if there is no such container, which a line on stderr says"),
            ("125", "it failed for one of them at least, and a line on stderr says why; the others are removed"),
        ],
        _ => &[
            ("0", "it is done for every container"),
            ("125", "it failed for one of them at least, and a line on stderr says why; for the others it is done"),
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
    &[*exited, *signalled, ("137", "also: the container has ended meanwhile"), *failed, *cannot, *missing]
};

/// What a page says about signals.
pub fn signals(page: Page) -> Option<&'static str> {
    Some(match page {
        "" | "run" => {
            "TERM, INT, HUP, QUIT and what else would end a process end the container; what the command catches, ignores or blocks \
             reaches it instead. USR1, USR2, WINCH and CONT reach it in any case. TSTP stops mydocker and the command. CHLD, PIPE \
             and URG are not passed on. If mydocker is killed by KILL, so is the container."
        }
        "exec" => {
            "As with mydocker run, for the command alone: what would end a process ends the command, unless it catches, ignores or \
             blocks the signal, and then gets it. The other processes of the container get nothing."
        }
        "stop" => {
            "TERM, or what run --stop-signal named, goes to the mydocker that keeps the container, which ends it or passes the \
             signal on, as mydocker-run(1) says. After the time comes KILL."
        }
        "kill" => {
            "The signal goes to the first process of the container. The kernel delivers none there that this process has no \
             handler for, but for KILL and STOP. KILL and TERM also end the restarts of run --restart, and let a paused container \
             go on."
        }
        "pause" => {
            "A paused container gets its signals when it goes on. mydocker stop, kill with KILL or TERM, and rm -f let it go on."
        }
        "rm" => "With -f, a container that runs gets KILL.",
        _ => return None,
    })
}

/// Examples, each with what it does.
pub fn examples(page: Page) -> &'static [(&'static str, &'static str)] {
    match page {
        "run" => &[
            ("mydocker run -t -m 100m --cpus 0.5 --pids-limit 50 sh", "A shell under limits."),
            ("mydocker run --rootfs root --read-only --tmpfs /tmp -t sh", "A root that stays as it is."),
            (
                "mydocker run --ephemeral sh -c 'rm -rf /usr/share/doc'",
                "The host's own files, with all writes in memory.",
            ),
            (
                "mydocker run -d --name web -p 8080:80 --rootfs root /bin/httpd -f",
                "A server in the background, which port 8080 of the host leads to.",
            ),
            ("mydocker run --stats=json -m 100m make", "A build, and what it used."),
            ("mydocker run --dry-run sh", "What would be done, step by step."),
            ("systemd-run --user --scope -p Delegate=yes mydocker run -m 100m sh", "An ordinary user, with a limit."),
        ],
        "check" => &[
            ("mydocker check", "What works on this host, and what to do for the rest."),
            ("mydocker check --json", "The same for a program."),
        ],
        "exec" => &[
            ("mydocker exec -t web sh", "A shell in the container web."),
            ("mydocker exec -u 1000 -w /srv web ls -l", "A command as another user, in another directory."),
        ],
        "ps" => &[
            ("mydocker ps -a", "Those that have ended, too."),
            (
                "mydocker ps -a --filter status=exited -q | xargs -r mydocker rm",
                "Removes the records of those that have ended.",
            ),
        ],
        "logs" => &[
            ("mydocker logs -f -n 20 web", "The last 20 lines, and what follows."),
            ("mydocker logs -t --since 10m web", "The last ten minutes, each line with its time."),
        ],
        "wait" => &[("status=$(mydocker wait job)", "Waits for a container, and keeps its status.")],
        "stop" => &[
            ("mydocker stop web db", "Ends two containers; both are asked at once."),
            ("mydocker stop -t 60 db", "Gives it a minute."),
        ],
        "kill" => &[
            ("mydocker kill web", "Ends it at once."),
            ("mydocker kill -s HUP web", "Asks a server to read its configuration again."),
        ],
        "pause" => &[("mydocker pause web", "Stops all its processes.")],
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
    "A limit is a file of a cgroup. mydocker writes to it before the command starts, and reads it back: if the kernel holds \
     another value than the one that was asked for, nothing is run. Each controller is used where this host has it: in a hierarchy \
     of cgroup v1 if one carries it (/proc/self/cgroup lists those), and on v2 otherwise. So on a hybrid host the limits of one \
     run may be in both.",
    "On v1 the container has one cgroup in each hierarchy that holds a limit of it, a child of the caller's; the child process \
     joins them before it becomes the command. Making one takes root, as a rule. On v2 it has a single one, and is born in it \
     where clone3(2) works. A v2 cgroup that has processes cannot have children with controllers: then its parent is the nearest \
     cgroup above the caller's that can; it has the caller's pids.max then, and if the container would escape another limit of \
     the caller's by that, it gets no cgroup. An ordinary user can do this where a cgroup has been delegated to them. --cgroup-parent names another cgroup on both.",
    "max, or -1 where the option takes it, writes nothing, so that the limits of the cgroups above are those that count. The kills \
     that a run reports are oom_kill in memory.oom_control on v1 and in memory.events on v2. mydocker pause writes to \
     freezer.state on v1 and to cgroup.freeze on v2.",
    "What each option writes:",
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
            differs: "The kernel rounds down to whole pages. The least is 1m. The default is 200m.",
        },
        Shown {
            options: "-m 100m --memory-swap 150m",
            words: LimitWords { memory: Some("100m"), swap: Some("150m"), ..none() },
            differs: "v1 limits memory and swap together, v2 swap alone: there mydocker writes the difference. The default is no \
                      swap. A kernel that does not account swap has neither file: then the default is left out, and the option \
                      ends the run. -m max lifts the limit of swap, too.",
        },
        Shown {
            options: "--memory-reservation 50m",
            words: LimitWords { reservation: Some("50m"), ..none() },
            differs: "On v1 the kernel takes memory first from cgroups that have more than their soft limit, when the host runs \
                      short. On v2 it takes it last from those that have less than this; that protects only as far as the cgroups \
                      above are protected, too.",
        },
        Shown {
            options: "-c 512",
            words: LimitWords { shares: Some("512"), ..none() },
            differs: "v1 has shares from 2 to 262144, and the kernel's default is 1024. v2 has weights from 1 to 10000, and the \
                      default is 100: mydocker converts as runc and crun do, so that 1024 shares are 100. On v1 a number out of \
                      this range ends the run, because the kernel changes it; on v2 it is the least or the greatest weight. The \
                      default is 2048 shares.",
        },
        Shown {
            options: "--cpu-set 0-2 --cpu-mems 0",
            words: LimitWords { cpus: Some("0-2"), mems: Some("0"), ..none() },
            differs: "On v1 both lists must be there before a process can join: one that is not given is that of the cgroup above. \
                      In a hierarchy that is mounted with noprefix the files are called cpus and mems. On v2 a list that is not \
                      given is not written; and because the file keeps what the cgroup above does not have, mydocker compares the \
                      second one. A CPU or node that the cgroup above does not have ends the run on both.",
        },
        Shown {
            options: "--cpus 1.5",
            words: LimitWords { quota: Some("1.5"), ..none() },
            differs: "The same as --cpu-quota 150000. v1 refuses a part of the time that is more than that of the cgroup above, \
                      and the run ends; v2 takes it, and the smaller one holds.",
        },
        Shown {
            options: "--cpu-quota 50000 --cpu-period 200000",
            words: LimitWords { cpu_quota: Some("50000"), cpu_period: Some("200000"), ..none() },
            differs: "A quarter of a CPU, in longer periods. What differs is as with --cpus.",
        },
        Shown {
            options: "--pids-limit 100",
            words: LimitWords { pids: Some("100"), ..none() },
            differs: "Processes and threads; beyond that fork(2) fails with EAGAIN. There is no difference.",
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
