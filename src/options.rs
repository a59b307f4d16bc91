//! The options of `mydocker run`: the one table that the normaliser and the help are made from, and what they mean.

use crate::error::{Error, Result};
use crate::text::{self, Malformed, Put, Set};
use alloc::vec::Vec;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or `=true`, `=false`.
    Switch,
    /// One word; the last one given counts. The help's name for it.
    One(&'static str),
    /// One word each time; all count. The help's name for it.
    Many(&'static str),
}

/// One row of the table.
pub struct Row {
    /// The group's heading in the help.
    pub group: &'static str,
    /// `-m`, where there is a short form.
    pub short: Option<u8>,
    /// The long names without dashes; the first is mydocker's own and the one that argh knows.
    pub names: &'static [&'static str],
    /// What follows.
    pub value: Value,
    /// What it does, for the help.
    pub help: &'static str,
}

const fn row(
    group: &'static str,
    short: Option<u8>,
    names: &'static [&'static str],
    value: Value,
    help: &'static str,
) -> Row {
    Row { group, short, names, value, help }
}

/// Every option of `run`, in the order of the help.
pub const TABLE: &[Row] = {
    use Value::{Many, One, Switch};
    const LIMITS: &str = "Limits";
    const PROCESS: &str = "Process";
    const NAMESPACES: &str = "Namespaces";
    &[
        row(
            LIMITS,
            Some(b'm'),
            &["memory-limit", "memory"],
            One("BYTES"),
            "memory, 200m unless told otherwise; max lifts it",
        ),
        row(LIMITS, None, &["memory-swap"], One("BYTES"), "memory and swap together; max or -1 lifts it"),
        row(LIMITS, Some(b'c'), &["cpu-shares"], One("N"), "weight against others, 2048 unless told otherwise"),
        row(LIMITS, None, &["cpu-set", "cpuset-cpus"], One("LIST"), "CPUs it may run on, such as 0-2,5; all lifts it"),
        row(LIMITS, None, &["cpu-mems", "cpuset-mems"], One("LIST"), "memory nodes it may use; all lifts it"),
        row(LIMITS, None, &["cpus"], One("N.N"), "CPU time, in CPUs; max lifts it"),
        row(LIMITS, None, &["pids-limit"], One("N"), "processes and threads; max or -1 lifts it"),
        row(LIMITS, None, &["no-limits"], Switch, "none of these, no cgroup"),
        row(LIMITS, None, &["cgroup-parent"], One("PATH"), "where its cgroups are made: absolute, or below the own"),
        row(LIMITS, None, &["name"], One("NAME"), "name of its cgroups, and its hostname"),
        row(PROCESS, Some(b't'), &["tty"], Switch, "a terminal of its own, for an interactive shell; implies -i"),
        row(PROCESS, Some(b'i'), &["interactive"], Switch, "accepted: stdin always passes through"),
        row(PROCESS, Some(b'e'), &["env"], Many("K=V"), "set a variable; K alone keeps the caller's"),
        row(PROCESS, None, &["env-file"], Many("FILE"), "set the variables in FILE, a line each"),
        row(PROCESS, Some(b'w'), &["workdir"], One("DIR"), "working directory"),
        row(PROCESS, None, &["hostname"], One("NAME"), "hostname"),
        row(PROCESS, None, &["init"], Switch, "a PID 1 that reaps orphans and passes signals on"),
        row(PROCESS, None, &["rm"], Switch, "accepted: always true"),
        row(NAMESPACES, None, &["network", "net"], One("none|host"), "its own with lo up (none), or the host's"),
        row(NAMESPACES, None, &["pid"], One("host"), "the host's processes"),
        row(NAMESPACES, None, &["ipc"], One("host"), "the host's System V and POSIX IPC"),
        row(NAMESPACES, None, &["uts"], One("host"), "the host's hostname"),
    ]
};

/// The row that `name`, without dashes, is a name of.
pub fn by_name(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.names.iter().any(|n| n.as_bytes() == name))
}

/// The row of a short form.
pub fn by_short(letter: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.short == Some(letter))
}

/// Puts the help of `run`.
pub fn help(out: &mut Vec<u8>) {
    out.put(b"Usage: mydocker run [OPTIONS] COMMAND [ARG...]\n\nRuns COMMAND in new UTS, PID, mount, network and IPC namespaces, under cgroup limits.\n");
    let mut group = "";
    for row in TABLE {
        if row.group != group {
            group = row.group;
            out.put(b"\n");
            out.put(group.as_bytes());
            out.put(b":\n");
        }
        let start = out.len();
        match row.short {
            Some(letter) => out.put(&[b' ', b' ', b'-', letter, b',']),
            None => out.put(b"     "),
        }
        for (at, name) in row.names.iter().enumerate() {
            out.put(if at == 0 { b" --" } else { b", --" });
            out.put(name.as_bytes());
        }
        if let Value::One(metavar) | Value::Many(metavar) = row.value {
            out.put(b" ");
            out.put(metavar.as_bytes());
        }
        for _ in out.len()..start + 44 {
            out.put(b" ");
        }
        out.put(b" ");
        out.put(row.help.as_bytes());
        out.put(b"\n");
    }
    out.put(b"\n  -h, --help alone prints this. BYTES takes b, k, m, g or t. Options stop at COMMAND, or at --.\n");
    out.put(b"\nStatus: the command's own; 128+n when signal n ended it; 125 mydocker failed and nothing was run;\n");
    out.put(b"126 the command cannot be executed; 127 it was not found.\n");
}

/// A limit, and whether somebody asked for it: what was asked for is applied, or nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<T> {
    /// How much.
    pub value: T,
    /// Asked for, not a default.
    pub asked: bool,
}

/// What the container may use. `None`: no limit.
#[derive(Debug)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<Limit<u64>>,
    /// Bytes of swap on top of the memory; `None`: as much as there is.
    pub swap: Option<Limit<u64>>,
    /// CPU shares, v1's unit: 1024 is one cgroup's usual share.
    pub shares: Option<Limit<u64>>,
    /// CPUs, as they were written.
    pub cpus: Option<Vec<u8>>,
    /// Memory nodes, as they were written.
    pub mems: Option<Vec<u8>>,
    /// Microseconds of CPU time in every 100,000.
    pub quota: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// The words of the command line's limits, as they were given.
#[derive(Default)]
pub struct LimitWords<'a> {
    /// `--memory-limit`
    pub memory: Option<&'a str>,
    /// `--memory-swap`
    pub swap: Option<&'a str>,
    /// `--cpu-shares`
    pub shares: Option<&'a str>,
    /// `--cpu-set`
    pub cpus: Option<&'a str>,
    /// `--cpu-mems`
    pub mems: Option<&'a str>,
    /// `--cpus`
    pub quota: Option<&'a str>,
    /// `--pids-limit`
    pub pids: Option<&'a str>,
    /// `--no-limits`
    pub none: bool,
}

/// What a static busybox needs to start with nothing of it in the page cache; with 700k it was seen to thrash.
const LEAST_MEMORY: u64 = 1024 * 1024;

/// cfs_quota_us takes no less than a millisecond.
const LEAST_QUOTA: u64 = 1000;

impl Limits {
    /// Reads the words; the defaults where there are none.
    pub fn read(words: &LimitWords) -> Result<Limits> {
        let memory = match words.memory {
            None => Some(Limit { value: 200 << 20, asked: false }),
            Some("max") => None,
            Some(word) => Some(Limit { value: number(text::size, word, "--memory-limit", LEAST_MEMORY)?, asked: true }),
        };
        let swap = match (words.swap, &memory) {
            (None, None) | (Some("max" | "-1"), _) => None,
            (None, Some(_)) => Some(Limit { value: 0, asked: false }),
            (Some(word), None) => return Err(Error::usage("--memory-swap needs a memory limit", word.as_bytes())),
            (Some(word), Some(memory)) => {
                let total = number(text::size, word, "--memory-swap", 1)?;
                let Some(value) = total.checked_sub(memory.value) else {
                    return Err(Error::usage("--memory-swap is less than the memory limit", word.as_bytes()));
                };
                Some(Limit { value, asked: true })
            }
        };
        let limits = Limits {
            memory,
            swap,
            shares: Some(match words.shares {
                None => Limit { value: 2048, asked: false },
                Some(word) => Limit { value: number(text::decimal, word, "--cpu-shares", 1)?, asked: true },
            }),
            cpus: words.cpus.map(|word| list(word, "--cpu-set")).transpose()?.flatten(),
            mems: words.mems.map(|word| list(word, "--cpu-mems")).transpose()?.flatten(),
            quota: match words.quota {
                None | Some("max") => None,
                Some(word) => Some(number(text::cpus, word, "--cpus", LEAST_QUOTA)?),
            },
            pids: match words.pids {
                None | Some("max" | "-1") => None,
                Some(word) => Some(number(text::decimal, word, "--pids-limit", 1)?),
            },
        };
        if words.none {
            return Ok(Limits {
                memory: None,
                swap: None,
                shares: None,
                cpus: None,
                mems: None,
                quota: None,
                pids: None,
            });
        }
        Ok(limits)
    }
}

/// A number of at least `least`, or a usage error that names the option's word.
fn number(
    parse: fn(&[u8]) -> core::result::Result<u64, Malformed>,
    word: &str,
    option: &'static str,
    least: u64,
) -> Result<u64> {
    let what = match (parse(word.as_bytes()), option) {
        (Ok(n), _) if n >= least => return Ok(n),
        (Ok(_), "--memory-limit") => "--memory-limit is under what an exec needs (1m)",
        (Ok(_), "--cpus") => "--cpus is under 0.01",
        (Ok(_), "--cpu-shares") => "--cpu-shares must be at least 1",
        (Ok(_), "--pids-limit") => "--pids-limit must be at least 1, or max",
        (Ok(_), _) => "--memory-swap must be at least 1, or max",
        (Err(Malformed::Overflow), "--memory-limit") => "--memory-limit is too large",
        (Err(Malformed::Overflow), "--cpus") => "--cpus is too large",
        (Err(Malformed::Overflow), "--cpu-shares") => "--cpu-shares is too large",
        (Err(Malformed::Overflow), "--pids-limit") => "--pids-limit is too large",
        (Err(Malformed::Overflow), _) => "--memory-swap is too large",
        (Err(Malformed::Form), "--memory-limit") => "--memory-limit is not a size, such as 100m",
        (Err(Malformed::Form), "--cpus") => "--cpus is not a number, such as 1.5",
        (Err(Malformed::Form), "--cpu-shares") => "--cpu-shares is not a number",
        (Err(Malformed::Form), "--pids-limit") => "--pids-limit is not a number",
        (Err(Malformed::Form), _) => "--memory-swap is not a size, such as 100m",
    };
    Err(Error::usage(what, word.as_bytes()))
}

fn list(word: &str, option: &'static str) -> Result<Option<Vec<u8>>> {
    if word == "all" {
        return Ok(None);
    }
    match text::list(word.as_bytes()).as_ref().map(Set::is_empty) {
        Ok(false) => Ok(Some(word.as_bytes().to_vec())),
        _ if option == "--cpu-set" => {
            Err(Error::usage("--cpu-set is not a list of CPUs, such as 0-2,5", word.as_bytes()))
        }
        _ => Err(Error::usage("--cpu-mems is not a list of memory nodes, such as 0-1", word.as_bytes())),
    }
}

/// A container's name: what docker takes, `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, and no longer than a hostname may be.
pub fn check_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let starts = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if starts && name.len() <= 64 && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::usage(
        "a name is at most 64 letters, digits, '_', '.' and '-', and begins with a letter or digit",
        name.as_bytes(),
    ))
}

/// A cgroup to make the container's groups in: no step may lead up.
pub fn check_cgroup_parent(path: &str) -> Result<()> {
    if path.split('/').any(|part| part == "..") {
        return Err(Error::usage("--cgroup-parent with '..'", path.as_bytes()));
    }
    Ok(())
}

/// A run, understood.
pub struct Options<'a> {
    /// What it may use.
    pub limits: Limits,
    /// Where its cgroups go.
    pub cgroup_parent: Option<&'a str>,
    /// Its name.
    pub name: Option<&'a str>,
    /// `-e`, in order.
    pub env: Vec<&'a str>,
    /// `--env-file`, in order.
    pub env_files: Vec<&'a str>,
    /// `-w`
    pub workdir: Option<&'a str>,
    /// `-t`
    pub tty: bool,
    /// `--init`
    pub init: bool,
    /// `--hostname`
    pub hostname: Option<&'a str>,
    /// Which namespaces stay the host's.
    pub host_network: bool,
    /// `--pid host`
    pub host_pid: bool,
    /// `--ipc host`
    pub host_ipc: bool,
    /// `--uts host`
    pub host_uts: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_share_a_name() {
        let mut names: Vec<&str> = TABLE.iter().flat_map(|row| row.names).copied().collect();
        let mut shorts: Vec<u8> = TABLE.iter().filter_map(|row| row.short).collect();
        let (all, all_shorts) = (names.len(), shorts.len());
        names.sort();
        names.dedup();
        shorts.sort();
        shorts.dedup();
        assert_eq!((names.len(), shorts.len()), (all, all_shorts));
    }

    #[test]
    fn the_help_has_every_name_and_fits_a_terminal() {
        let mut out = Vec::new();
        help(&mut out);
        let help = String::from_utf8(out).unwrap();
        for row in TABLE {
            assert!(row.names.iter().all(|name| help.contains(&format!("--{name}"))));
        }
        assert!(help.lines().all(|line| line.len() <= 110), "{help}");
    }

    fn read(words: LimitWords) -> core::result::Result<Limits, ()> {
        Limits::read(&words).map_err(drop)
    }

    #[test]
    fn defaults_and_lifting() {
        let limits = read(LimitWords::default()).unwrap();
        assert_eq!(limits.memory, Some(Limit { value: 200 << 20, asked: false }));
        assert_eq!(limits.swap, Some(Limit { value: 0, asked: false }));
        assert_eq!(limits.shares, Some(Limit { value: 2048, asked: false }));
        assert!(limits.cpus.is_none() && limits.pids.is_none() && limits.quota.is_none());
        let limits = read(LimitWords { memory: Some("max"), pids: Some("-1"), ..Default::default() }).unwrap();
        assert!(limits.memory.is_none() && limits.swap.is_none() && limits.pids.is_none());
        let limits = read(LimitWords { none: true, memory: Some("1g"), ..Default::default() }).unwrap();
        assert!(limits.memory.is_none() && limits.shares.is_none());
    }

    #[test]
    fn swap_is_what_comes_on_top() {
        let swap =
            |memory, swap| read(LimitWords { memory, swap, ..Default::default() }).map(|l| l.swap.map(|s| s.value));
        assert_eq!(swap(Some("100m"), Some("150m")), Ok(Some(50 << 20)));
        assert_eq!(swap(None, Some("300m")), Ok(Some(100 << 20)));
        assert_eq!(swap(None, Some("-1")), Ok(None));
        assert_eq!(swap(Some("100m"), Some("99m")), Err(()));
        assert_eq!(swap(Some("max"), Some("99m")), Err(()));
        assert_eq!(swap(Some("100m"), Some("0")), Err(()));
    }

    #[test]
    fn names() {
        for good in ["a", "web-1", "A.b_c", "7"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".a", "a/b", "-a", "a b", "ä", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
