//! The options of `mydocker run`: which there are, as the help says, and what they mean.

use crate::error::{Error, Result};
use crate::privilege::Privilege;
use crate::says;
use crate::text::{self, Malformed, Put};
use crate::texts::{self, Message};
use crate::volumes::{Ulimit, Volume};
use alloc::vec::Vec;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or `=true`, `=false`.
    Switch,
    /// One word; the last one given counts.
    One,
    /// One word each time; all count.
    Many,
    /// Nothing, or `=` and a word; argh gets an empty one for nothing, which nobody can give.
    Optional,
}

/// One option: what its line in the help has before the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(&'static [u8]);

impl Row {
    /// Its names with their dashes, and behind them the name of its value.
    pub fn words(self) -> impl Iterator<Item = &'static [u8]> {
        self.0.split(|b| matches!(b, b' ' | b',' | b'[' | b']')).filter(|word| !word.is_empty())
    }

    /// The name that argh knows it by.
    pub fn name(self) -> &'static str {
        let name = self.words().find(|word| word.starts_with(b"--")).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// What follows it.
    pub fn value(self) -> Value {
        match self.words().last() {
            Some([b'-', ..]) | None => Value::Switch,
            Some([b'=', ..]) => Value::Optional,
            Some([.., b'.', b'.', b'.']) => Value::Many,
            Some(_) => Value::One,
        }
    }
}

/// All options, a line each: what their lines in the help have before the tab.
pub struct Table(&'static [u8]);

impl Table {
    /// Takes them from the help.
    pub fn read() -> Table {
        let mut table = Vec::new();
        for line in texts::RUN.lines() {
            if let Some((names, _)) = text::split_at(line, b'\t') {
                texts::put(names, &mut table);
                table.put(b"\n");
            }
        }
        Table(table.leak())
    }

    /// Every option, in the order of the help.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let lines = text::split(self.0, b'\n');
        #[cfg(test)]
        let lines = lines.chain([&b"  -O, --optional[=VALUE]"[..]]);
        lines.filter(|line| !line.is_empty()).map(Row)
    }

    /// The option that `name`, with its dashes, is a name of.
    pub fn find(&self, name: &[u8]) -> Option<Row> {
        self.rows().find(|row| row.words().any(|word| word == name))
    }
}

/// A limit, and whether somebody asked for it: what was asked for is applied, or nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How much.
    pub value: u64,
    /// Asked for, not a default.
    pub asked: bool,
}

/// What the container may use. `None`: no limit.
#[derive(Debug, Default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<Limit>,
    /// Bytes of swap on top of the memory; `None`: as much as there is.
    pub swap: Option<Limit>,
    /// CPU shares, v1's unit: 1024 is one cgroup's usual share.
    pub shares: Option<Limit>,
    /// CPUs, as they were written.
    pub cpus: Option<&'static [u8]>,
    /// Memory nodes, as they were written.
    pub mems: Option<&'static [u8]>,
    /// Microseconds of CPU time in every period.
    pub quota: Option<Limit>,
    /// Processes and threads.
    pub pids: Option<Limit>,
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
    pub cpus: Option<&'static str>,
    /// `--cpu-mems`
    pub mems: Option<&'static str>,
    /// `--cpus`
    pub quota: Option<&'a str>,
    /// `--pids-limit`
    pub pids: Option<&'a str>,
    /// `--no-limits`
    pub none: bool,
    /// `--stats`: processes are counted, limited or not.
    pub count: bool,
}

/// cfs_period_us, the kernel's own default: a quota is so many microseconds in every so many.
const PERIOD: u64 = 100_000;

impl Limit {
    /// The value, not asked for, of a group that only counts.
    pub const NONE: u64 = u64::MAX;
}

impl Limits {
    /// Reads the words; the defaults where there are none.
    #[inline(never)]
    pub fn read(&mut self, words: &LimitWords) -> Result<()> {
        self.memory = MEMORY.read(words.memory, Some(200 << 20))?;
        self.swap = swap(words.swap, self.memory)?;
        self.shares = SHARES.read(words.shares, Some(2048))?;
        self.cpus = list(words.cpus, says!("--cpu-set is not a list of CPUs, such as 0-2,5"))?;
        self.mems = list(words.mems, says!("--cpu-mems is not a list of memory nodes, such as 0-1"))?;
        self.quota = QUOTA.read(words.quota, None)?;
        self.pids = PIDS.read(words.pids, None)?.or(words.count.then_some(Limit { value: Limit::NONE, asked: false }));
        if words.none {
            *self = Limits::default();
        }
        Ok(())
    }

    /// Bytes of memory and swap together, as v1 counts them.
    pub fn memory_and_swap(&self) -> Option<Limit> {
        let (memory, swap) = (self.memory?, self.swap?);
        Some(Limit { value: memory.value.saturating_add(swap.value), asked: swap.asked })
    }

    /// What the quota is counted in, if there is one.
    pub fn period(&self) -> Option<Limit> {
        self.quota.map(|quota| Limit { value: PERIOD, asked: quota.asked })
    }
}

/// How one option's number is read, and what is said when it cannot be.
struct Number {
    parse: fn(&[u8]) -> core::result::Result<u64, Malformed>,
    least: u64,
    /// Besides a number.
    lifted_by: &'static [&'static str],
    not_one: Message,
    too_little: Message,
    too_large: Message,
}

const MEMORY: Number = Number {
    parse: text::size,
    // What a static busybox needs to start with nothing of it in the page cache; with 700k it was seen to thrash.
    least: 1024 * 1024,
    lifted_by: &["max"],
    not_one: says!("--memory-limit is not a size, such as 100m"),
    too_little: says!("--memory-limit is under what an exec needs (1m)"),
    too_large: says!("--memory-limit is too large"),
};

const SWAP: Number = Number {
    parse: text::size,
    least: 1,
    lifted_by: &["max", "-1"],
    not_one: says!("--memory-swap is not a size, such as 100m"),
    too_little: says!("--memory-swap must be at least 1, or max"),
    too_large: says!("--memory-swap is too large"),
};

const SHARES: Number = Number {
    parse: text::decimal,
    least: 1,
    lifted_by: &[],
    not_one: says!("--cpu-shares is not a number"),
    too_little: says!("--cpu-shares must be at least 1"),
    too_large: says!("--cpu-shares is too large"),
};

const QUOTA: Number = Number {
    parse: text::cpus,
    // cfs_quota_us takes no less than a millisecond.
    least: 1000,
    lifted_by: &["max"],
    not_one: says!("--cpus is not a number, such as 1.5"),
    too_little: says!("--cpus is under 0.01"),
    too_large: says!("--cpus is too large"),
};

const PIDS: Number = Number {
    parse: text::decimal,
    least: 1,
    lifted_by: &["max", "-1"],
    not_one: says!("--pids-limit is not a number"),
    too_little: says!("--pids-limit must be at least 1, or max"),
    too_large: says!("--pids-limit is too large"),
};

impl Number {
    /// The limit that `word` asks for, or else the `default`; `None` if it is lifted.
    fn read(&self, word: Option<&str>, default: Option<u64>) -> Result<Option<Limit>> {
        let Some(word) = word else { return Ok(default.map(|value| Limit { value, asked: false })) };
        if self.lifted_by.contains(&word) {
            return Ok(None);
        }
        let what = match (self.parse)(word.as_bytes()) {
            Ok(value) if value >= self.least => return Ok(Some(Limit { value, asked: true })),
            Ok(_) => self.too_little,
            Err(Malformed::Overflow) => self.too_large,
            Err(Malformed::Form) => self.not_one,
        };
        Err(Error::usage(what, word.as_bytes()))
    }
}

/// Swap on top of the memory: none unless told otherwise, and no limit where the memory has none.
fn swap(word: Option<&str>, memory: Option<Limit>) -> Result<Option<Limit>> {
    let Some(memory) = memory else {
        return match word {
            Some(word) if !SWAP.lifted_by.contains(&word) => {
                Err(Error::usage(says!("--memory-swap needs a memory limit"), word.as_bytes()))
            }
            _ => Ok(None),
        };
    };
    let Some(total) = SWAP.read(word, Some(memory.value))? else { return Ok(None) };
    match total.value.checked_sub(memory.value) {
        Some(value) => Ok(Some(Limit { value, ..total })),
        None => {
            Err(Error::usage(says!("--memory-swap is less than the memory limit"), word.unwrap_or_default().as_bytes()))
        }
    }
}

fn list(word: Option<&'static str>, what: Message) -> Result<Option<&'static [u8]>> {
    match word {
        None | Some("all") => Ok(None),
        Some(word) => match text::list(word.as_bytes()) {
            Ok(set) if !set.is_empty() => Ok(Some(word.as_bytes())),
            _ => Err(Error::usage(what, word.as_bytes())),
        },
    }
}

/// A size that somebody asked for: at least one byte.
pub fn size(word: &str, what: Message) -> Result<u64> {
    match text::size(word.as_bytes()) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(Error::usage(what, word.as_bytes())),
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
        says!("a name is at most 64 letters, digits, '_', '.' and '-', and begins with a letter or digit"),
        name.as_bytes(),
    ))
}

/// A cgroup to make the container's groups in: no step may lead up.
pub fn check_cgroup_parent(path: &str) -> Result<()> {
    if text::split(path.as_bytes(), b'/').any(|part| part == b"..") {
        return Err(Error::usage(says!("--cgroup-parent with '..'"), path.as_bytes()));
    }
    Ok(())
}

/// A run, understood.
#[derive(Default)]
pub struct Options {
    /// What it may use.
    pub limits: Limits,
    /// Where its cgroups go.
    pub cgroup_parent: Option<&'static str>,
    /// Its name.
    pub name: Option<&'static str>,
    /// `-e`, in order.
    pub env: &'static [&'static str],
    /// `--env-file`, in order.
    pub env_files: &'static [&'static str],
    /// `-w`
    pub workdir: Option<&'static str>,
    /// `--rootfs`
    pub rootfs: Option<&'static str>,
    /// `--ephemeral`, and how many bytes it may hold where that was said.
    pub ephemeral: Option<Option<u64>>,
    /// `--read-only`
    pub read_only: bool,
    /// `-v`, then `--tmpfs`, in order.
    pub volumes: Vec<Volume>,
    /// `--device`, in order.
    pub devices: &'static [&'static str],
    /// `--shm-size`, in bytes.
    pub shm_size: Option<u64>,
    /// `-u`
    pub user: Option<&'static str>,
    /// `--ulimit`
    pub ulimits: Vec<Ulimit>,
    /// `-t`
    pub tty: bool,
    /// `--init`
    pub init: bool,
    /// `--hostname`
    pub hostname: Option<&'static str>,
    /// Which namespaces stay the host's.
    pub host_network: bool,
    /// `--pid host`
    pub host_pid: bool,
    /// `--ipc host`
    pub host_ipc: bool,
    /// `--uts host`
    pub host_uts: bool,
    /// `--userns host`
    pub host_user: bool,
    /// What the command may do.
    pub privilege: Privilege,
    /// `--pid-file`
    pub pid_file: Option<&'static str>,
    /// `--trace`: empty, or a file.
    pub trace: Option<&'static str>,
    /// `--dry-run`: empty, or `sh`.
    pub dry_run: Option<&'static str>,
    /// `--step`
    pub step: bool,
    /// `--stats`: empty, `json`, or a file.
    pub stats: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_share_a_name() {
        let mut names: Vec<&[u8]> =
            Table::read().rows().flat_map(Row::words).filter(|word| word.starts_with(b"-")).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_help_is_understood_and_fits_a_terminal() {
        let help = String::from_utf8(texts::RUN.printed()).unwrap();
        let table = Table::read();
        let find = |name: &str| table.find(name.as_bytes()).map(|row| (row.name(), row.value()));
        assert_eq!(find("-m"), Some(("--memory-limit", Value::One)));
        assert_eq!(find("--memory"), Some(("--memory-limit", Value::One)));
        assert_eq!(find("--env"), Some(("--env", Value::Many)));
        assert_eq!(find("--net"), Some(("--network", Value::One)));
        assert_eq!(find("--rm"), Some(("--rm", Value::Switch)));
        for none in ["-1", "-h", "--help", "--", "--memory-limit,", "-"] {
            assert_eq!(find(none), None, "{none}");
        }
        // No line that was meant to be an option has been passed over, or has lost its explanation.
        let lines = help.lines().filter(|line| line.starts_with(' '));
        assert!(lines.clone().all(|line| line.contains(" --")));
        assert_eq!(lines.count(), table.rows().filter(|row| row.name() != "--optional").count());
        assert!(table.rows().all(|row| row.words().all(|word| word.starts_with(b"-")) || row.value() != Value::Switch));
        assert!(help.lines().all(|line| line.len() <= 110));
    }

    fn read(words: LimitWords) -> core::result::Result<Limits, ()> {
        let mut limits = Limits::default();
        limits.read(&words).map_err(drop).map(|()| limits)
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
