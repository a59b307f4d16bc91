//! Limits on what a container may use, and how they are read.

use crate::bytes::{self, Malformed};
use crate::error::{Error, Result};

/// A limit, and whether the user asked for it: what was asked for is applied, or nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How much.
    pub value: u64,
    /// The user asked for it; else it is a default.
    pub explicit: bool,
}

/// What the container may use. `None`: no limit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<Limit>,
    /// Bytes of swap on top of the memory; `None`: as much as there is.
    pub swap: Option<Limit>,
    /// Bytes of memory that it keeps longer than others when the host runs short of it.
    pub reservation: Option<Limit>,
    /// CPU shares, v1's unit: 1024 is one cgroup's usual share.
    pub shares: Option<Limit>,
    /// CPUs, in the list format of cpuset(7).
    pub cpus: Option<&'static [u8]>,
    /// Memory nodes, likewise.
    pub mems: Option<&'static [u8]>,
    /// Microseconds of CPU time in every period.
    pub quota: Option<Limit>,
    /// How long the period is, in microseconds, if not [`PERIOD`].
    pub period: Option<u64>,
    /// Processes and threads.
    pub pids: Option<Limit>,
    /// Processes are counted, limited or not.
    pub count_pids: bool,
}

/// The words of the command line.
#[derive(Default)]
pub struct LimitWords<'a> {
    /// `--memory-limit`
    pub memory: Option<&'a str>,
    /// `--memory-swap`
    pub swap: Option<&'a str>,
    /// `--memory-reservation`
    pub reservation: Option<&'a str>,
    /// `--cpu-quota`
    pub cpu_quota: Option<&'a str>,
    /// `--cpu-period`
    pub cpu_period: Option<&'a str>,
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

/// In microseconds: the kernel's own default of cpu.cfs_period_us, and what a quota is a part of.
pub const PERIOD: u64 = 100_000;

impl Limits {
    /// Reads the words; the defaults where there are none.
    pub fn read(&mut self, words: &LimitWords) -> Result<()> {
        if words.none {
            let words = [
                words.memory,
                words.swap,
                words.shares,
                words.cpus,
                words.mems,
                words.reservation,
                words.quota,
                words.cpu_quota,
                words.cpu_period,
                words.pids,
            ];
            return match words.iter().flatten().next() {
                None => Ok(()),
                Some(word) => Err(Error::usage("with --no-limits there is no limit", word.as_bytes())),
            };
        }
        self.memory = Some(Limit { value: 200 << 20, explicit: false });
        self.shares = Some(Limit { value: 2048, explicit: false });
        MEMORY.read(words.memory, &mut self.memory)?;
        // Swap on top of the memory: none by default, and unlimited where the memory is.
        if let Some(memory) = self.memory {
            self.swap = Some(Limit { value: memory.value, explicit: false });
            SWAP.read(words.swap, &mut self.swap)?;
            if let Some(total) = &mut self.swap {
                total.value = total.value.checked_sub(memory.value).ok_or_else(|| {
                    let word = words.swap.unwrap_or_default();
                    Error::usage("--memory-swap is less than the memory limit", word.as_bytes())
                })?;
            }
        } else if let Some(word) = words.swap.filter(|word| !SWAP.lifted_by.contains(&word.as_bytes())) {
            return Err(Error::usage("--memory-swap needs a memory limit", word.as_bytes()));
        }
        SHARES.read(words.shares, &mut self.shares)?;
        for (option, word, members) in
            [("--cpu-set", words.cpus, &mut self.cpus), ("--cpu-mems", words.mems, &mut self.mems)]
        {
            if let Some(word) = word.filter(|word| *word != "all") {
                *members = Some(read_list(option, word)?);
            }
        }
        RESERVATION.read(words.reservation, &mut self.reservation)?;
        if let (Some(reservation), Some(memory)) = (self.reservation, self.memory)
            && reservation.value > memory.value
        {
            let word = words.reservation.unwrap_or_default();
            return Err(Error::usage("--memory-reservation is more than the memory limit", word.as_bytes()));
        }
        QUOTA.read(words.quota, &mut self.quota)?;
        CPU_QUOTA.read(words.cpu_quota, &mut self.quota)?;
        let mut period = None;
        CPU_PERIOD.read(words.cpu_period, &mut period)?;
        self.period = period.map(|period| period.value);
        if let (Some(_), Some(word)) = (words.quota, words.cpu_quota.or(words.cpu_period)) {
            return Err(Error::usage("--cpus is --cpu-quota by --cpu-period: not both, with", word.as_bytes()));
        }
        if let (None, Some(word)) = (self.quota, words.cpu_period) {
            return Err(Error::usage("--cpu-period needs --cpu-quota", word.as_bytes()));
        }
        PIDS.read(words.pids, &mut self.pids)?;
        self.count_pids = words.count;
        Ok(())
    }
}

/// How the number of one option is read, and what is said if it cannot be.
struct Number {
    option: &'static str,
    parse: fn(&[u8]) -> core::result::Result<u64, Malformed>,
    least: u64,
    /// Words that lift the limit. `0`, which lifts it in docker, is refused: a script that computes a limit may get 0 by mistake.
    lifted_by: &'static [&'static [u8]],
    not_one: &'static str,
    too_little: &'static str,
}

const MEMORY: Number = Number {
    option: "--memory-limit",
    parse: bytes::size,
    // A static busybox needs this much to start if nothing of it is in the page cache; with 700k it was seen to thrash.
    least: 1024 * 1024,
    lifted_by: &[b"max"],
    not_one: NOT_A_SIZE_OR_MAX,
    too_little: "less than a command needs to start (1m; a number alone is bytes); max lifts the limit",
};

const SWAP: Number = Number {
    option: "--memory-swap",
    parse: bytes::size,
    least: 1,
    lifted_by: &[b"max", b"-1"],
    not_one: NOT_A_SIZE_OR_MAX,
    too_little: UNDER_ONE_OR_MAX,
};

const SHARES: Number = Number {
    option: "--cpu-shares",
    parse: bytes::decimal,
    least: 1,
    lifted_by: &[],
    not_one: NOT_A_NUMBER,
    too_little: UNDER_ONE,
};

const QUOTA: Number = Number {
    option: "--cpus",
    parse: bytes::cpus,
    // cfs_quota_us takes no less than a millisecond.
    least: 1000,
    lifted_by: &[b"max"],
    not_one: "not a number, such as 1.5",
    too_little: "less than 0.01; max lifts the limit",
};

const RESERVATION: Number = Number {
    option: "--memory-reservation",
    parse: bytes::size,
    least: 1,
    lifted_by: &[],
    not_one: NOT_A_SIZE,
    too_little: UNDER_ONE,
};

const CPU_QUOTA: Number = Number {
    option: "--cpu-quota",
    parse: bytes::decimal,
    least: 1000,
    lifted_by: &[b"-1", b"0"],
    not_one: NOT_A_NUMBER,
    too_little: UNDER_A_MILLISECOND,
};

const CPU_PERIOD: Number = Number {
    option: "--cpu-period",
    parse: |word| bytes::decimal(word).and_then(|n| if n > 1_000_000 { Err(Malformed::Overflow) } else { Ok(n) }),
    least: 1000,
    lifted_by: &[],
    not_one: NOT_A_NUMBER,
    too_little: UNDER_A_MILLISECOND,
};

const PIDS: Number = Number {
    option: "--pids-limit",
    parse: bytes::decimal,
    least: 1,
    lifted_by: &[b"max", b"-1"],
    not_one: NOT_A_NUMBER,
    too_little: UNDER_ONE_OR_MAX,
};

const NOT_A_SIZE: &str = "not a size, such as 100m";
const NOT_A_SIZE_OR_MAX: &str = "not a size, such as 100m; max lifts the limit";
const NOT_A_NUMBER: &str = "not a number";
const UNDER_ONE: &str = "less than 1";
const UNDER_ONE_OR_MAX: &str = "less than 1; max lifts the limit";
const UNDER_A_MILLISECOND: &str = "less than 1000 microseconds";

impl Number {
    /// Makes `limit` what `word` asks for, if there is a word.
    fn read(&self, word: Option<&str>, limit: &mut Option<Limit>) -> Result<()> {
        let Some(word) = word.map(str::as_bytes) else { return Ok(()) };
        if self.lifted_by.contains(&word) {
            *limit = None;
            return Ok(());
        }
        let why = match (self.parse)(word) {
            Ok(value) if value >= self.least => {
                *limit = Some(Limit { value, explicit: true });
                return Ok(());
            }
            Ok(_) => self.too_little,
            Err(Malformed::Overflow) => "too large",
            Err(Malformed::Form) => self.not_one,
        };
        Err(Error::usage(self.option, word).with_hint(why))
    }
}

/// The members that the word of `option` names.
fn read_list(option: &'static str, word: &'static str) -> Result<&'static [u8]> {
    match bytes::list(word.as_bytes()) {
        Ok(set) if !set.is_empty() => Ok(word.as_bytes()),
        _ => Err(Error::usage(option, word.as_bytes()).with_hint("not a list of numbers, such as 0-2,5, or all")),
    }
}

/// The size of at least one byte that `option` takes.
pub fn size(option: &'static str, word: &str) -> Result<u64> {
    match bytes::size(word.as_bytes()) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(Error::usage(option, word.as_bytes()).with_hint(NOT_A_SIZE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: LimitWords) -> core::result::Result<Limits, ()> {
        let mut limits = Limits::default();
        limits.read(&words).map_err(drop)?;
        Ok(limits)
    }

    #[test]
    fn defaults_and_lifting() {
        let limits = read(LimitWords::default()).unwrap();
        assert_eq!(limits.memory, Some(Limit { value: 200 << 20, explicit: false }));
        assert_eq!(limits.swap, Some(Limit { value: 0, explicit: false }));
        assert_eq!(limits.shares, Some(Limit { value: 2048, explicit: false }));
        assert!(limits.cpus.is_none() && limits.pids.is_none() && limits.quota.is_none());
        let limits = read(LimitWords { memory: Some("max"), pids: Some("-1"), ..Default::default() }).unwrap();
        assert!(limits.memory.is_none() && limits.swap.is_none() && limits.pids.is_none());
        let limits = read(LimitWords { none: true, ..Default::default() }).unwrap();
        assert!(limits.memory.is_none() && limits.shares.is_none());
        assert_eq!(read(LimitWords { none: true, memory: Some("1g"), ..Default::default() }), Err(()));
        assert_eq!(read(LimitWords { none: true, mems: Some("0"), ..Default::default() }), Err(()));
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
}
