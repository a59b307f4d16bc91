//! The limits of v1, and how a limit is applied: written, read back, and compared.

use super::hierarchy::{Controller, Hierarchy};
use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::spec::limits::{Limit, Limits, PERIOD};
use crate::sys::Dir;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is written to the files of v1, in the order that the kernel takes it. `parent` is where the group is created.
pub fn v1(limits: &Limits, controllers: &[Controller], hierarchy: &Hierarchy, parent: &CStr) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for controller in controllers {
        match controller {
            Controller::Memory => {
                settings.extend(limits.memory.map(|limit| Setting::bytes(c"memory.limit_in_bytes", limit)));
                // memory.memsw is both together, and may not be less than memory alone at any time.
                settings.extend(limits.memory.zip(limits.swap).map(|(memory, swap)| {
                    let both = Limit { value: memory.value.saturating_add(swap.value), ..swap };
                    Setting::bytes(c"memory.memsw.limit_in_bytes", both)
                }));
            }
            Controller::Cpu => {
                settings.extend(limits.shares.map(|limit| Setting::number(c"cpu.shares", limit, b"")));
                settings.extend(limits.quota.iter().flat_map(|quota| {
                    let period = Limit { value: PERIOD, ..*quota };
                    [
                        Setting::number(c"cpu.cfs_period_us", period, b""),
                        Setting::number(c"cpu.cfs_quota_us", *quota, b""),
                    ]
                }));
            }
            Controller::Cpuset => {
                // Both must have a value before a process can join; without one from the user, it is that of the parent.
                for (file, list) in [(c"cpuset.cpus", limits.cpus), (c"cpuset.mems", limits.mems)] {
                    settings.push(Setting::list(
                        file,
                        None,
                        match list {
                            Some(list) => list,
                            None => {
                                let path = bytes::c_string(&[parent.to_bytes(), b"/", file.to_bytes()]);
                                let mut buffer = [0u8; 4096];
                                bytes::trimmed(hierarchy.top.read(path, &mut buffer)?).to_vec().leak()
                            }
                        },
                    ));
                }
            }
            Controller::Pids => settings.extend(pids(limits)),
        }
    }
    Ok(settings)
}

/// The limit on processes; `max` for a group that only counts them.
pub fn pids(limits: &Limits) -> Option<Setting> {
    let counts = || Setting { value: b"max", ..Setting::number(c"pids.max", Limit { value: 0, explicit: false }, b"") };
    limits.pids.map(|limit| Setting::number(c"pids.max", limit, b"")).or_else(|| limits.count_pids.then(counts))
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Byte by byte.
    Exact,
    /// Bytes, which the kernel rounds down to pages.
    Bytes,
    /// Lists of CPUs or memory nodes, compared as sets.
    List,
}

/// One control file to be written and read back.
pub struct Setting {
    /// The file in the group's directory.
    pub file: &'static CStr,
    /// A second file that must show the same, where the first one only repeats what was written.
    pub effective: Option<&'static CStr>,
    /// What is written.
    pub value: &'static [u8],
    /// How what is read back is compared.
    pub comparison: Comparison,
    /// The user asked for it; else it is a default, or follows from one.
    pub explicit: bool,
}

/// The largest page that Linux has on these architectures.
const LARGEST_PAGE: u64 = 64 * 1024;

impl Setting {
    /// A number, followed by `after` where the format of the file has more fields.
    pub fn number(file: &'static CStr, Limit { value, explicit }: Limit, after: &[u8]) -> Setting {
        let mut number = bytes::to_decimal(value);
        number.put(after);
        Setting { file, effective: None, value: number.leak(), comparison: Comparison::Exact, explicit }
    }

    /// A number of bytes.
    pub fn bytes(file: &'static CStr, limit: Limit) -> Setting {
        Setting { comparison: Comparison::Bytes, ..Setting::number(file, limit, b"") }
    }

    /// A list of CPUs or memory nodes.
    pub fn list(file: &'static CStr, effective: Option<&'static CStr>, value: &'static [u8]) -> Setting {
        Setting { file, effective, value, comparison: Comparison::List, explicit: true }
    }

    /// Writes the value and reads it back; a kernel that holds another one is an error.
    pub fn apply(&self, dir: &Dir) -> Result<()> {
        let mut buffer = [0u8; 4096];
        let held = dir.write_and_read_back(self.file, self.value, &mut buffer).map_err(|e| self.explain(e))?;
        self.compare(self.file, held)?;
        match self.effective {
            Some(file) => self.compare(file, dir.read(file, &mut buffer)?),
            None => Ok(()),
        }
    }

    fn compare(&self, file: &'static CStr, got: &[u8]) -> Result<()> {
        let got = bytes::trimmed(got);
        if same(self.comparison, self.value, got) {
            return Ok(());
        }
        let got = if got.is_empty() { b"nothing" } else { got };
        Err(Error::limit(file.to_str().unwrap_or_default(), self.value, got))
    }

    /// Says what errno alone does not say.
    fn explain(&self, error: Error) -> Error {
        let file = self.file.to_bytes();
        if error.is(Errno::ENOENT) && (file.starts_with(b"memory.memsw") || file.starts_with(b"memory.swap")) {
            return error.with_hint("this kernel does not account swap; boot with swapaccount=1");
        }
        if error.is(Errno::ENOENT) {
            return error.with_hint("the controller is not available in this cgroup");
        }
        if self.comparison == Comparison::List
            && error.is_one_of(&[Errno::ERANGE, Errno::EINVAL, Errno::EACCES, Errno::ENODEV])
        {
            return error.with_hint("not among the CPUs or memory nodes that the parent cgroup has");
        }
        if file.starts_with(b"cpu.cfs") && error.is(Errno::EINVAL) {
            return error.with_hint("more than the parent cgroup's own quota allows");
        }
        error
    }
}

fn same(comparison: Comparison, asked: &[u8], got: &[u8]) -> bool {
    match comparison {
        Comparison::Exact => asked == got,
        Comparison::List => matches!((bytes::list(asked), bytes::list(got)), (Ok(asked), Ok(got)) if asked == got),
        Comparison::Bytes => match (bytes::decimal(asked), bytes::decimal(got)) {
            (Ok(asked), Ok(got)) => got <= asked && asked - got < LARGEST_PAGE && (got > 0 || asked == 0),
            _ => asked == got,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_the_same() {
        for (comparison, asked, got, equal) in [
            (Comparison::Exact, "2048", "2048", true),
            (Comparison::Exact, "1", "2", false),
            (Comparison::Exact, "150000 100000", "150000 100000", true),
            (Comparison::Bytes, "104857600", "104857600", true),
            (Comparison::Bytes, "104857601", "104857600", true),
            (Comparison::Bytes, "10", "0", false),
            (Comparison::Bytes, "0", "0", true),
            (Comparison::Bytes, "104857600", "209715200", false),
            (Comparison::Bytes, "104857600", "9223372036854771712", false),
            (Comparison::Bytes, "104857600", "max", false),
            (Comparison::List, "1,0", "0-1", true),
            (Comparison::List, "0-1", "0", false),
            (Comparison::List, "0", "", false),
        ] {
            assert_eq!(same(comparison, asked.as_bytes(), got.as_bytes()), equal, "{comparison:?} {asked} {got}");
        }
    }
}
