//! The limits of v1, and how a limit is applied: written, read back, and compared.

use super::hierarchy::{Controller, Controllers, Hierarchy};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::limits::{Limit, Limits, PERIOD};
use crate::sys::Dir;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Adds what is written to the files of v1, in the order that the kernel takes it. `parent` is where the group is created.
pub fn v1(
    limits: &Limits,
    controllers: Controllers,
    hierarchy: &Hierarchy,
    parent: &CStr,
    settings: &mut Settings,
) -> Result<()> {
    if controllers.has(Controller::Memory) {
        settings.number(c"memory.limit_in_bytes", limits.memory, Comparison::Bytes);
        // memory.memsw is both together, and may not be less than memory alone at any time.
        if let (Some(memory), Some(swap)) = (limits.memory, limits.swap) {
            let both = Limit { value: memory.value.saturating_add(swap.value), ..swap };
            settings.number(c"memory.memsw.limit_in_bytes", Some(both), Comparison::Bytes);
        }
        settings.number(c"memory.soft_limit_in_bytes", limits.reservation, Comparison::Bytes);
    }
    if controllers.has(Controller::Cpu) {
        settings.number(c"cpu.shares", limits.shares, Comparison::Exact);
        let period = limits.quota.map(|quota| Limit { value: limits.period.unwrap_or(PERIOD), ..quota });
        settings.number(c"cpu.cfs_period_us", period, Comparison::Exact);
        settings.number(c"cpu.cfs_quota_us", limits.quota, Comparison::Exact);
    }
    if controllers.has(Controller::Cpuset) {
        // Both must have a value before a process can join; without one from the user, it is that of the parent.
        let or_of_parent = |list: Option<&'static [u8]>, file: &CStr| match list {
            Some(list) => Ok(list),
            None => {
                let path = bytes::c_string(&[parent.to_bytes(), b"/", file.to_bytes()]);
                let mut buffer = [0u8; 4096];
                let read = hierarchy.top.read(path, &mut buffer);
                let hint = "as root, make the cgroup of --cgroup-parent in the hierarchy of cpuset, too";
                read.map_err(|e| e.hint_for(&[(Errno::ENOENT, hint)])).map(|list| &*list.trim_ascii().to_vec().leak())
            }
        };
        let [cpus, mems] = if hierarchy.noprefix { [c"cpus", c"mems"] } else { [c"cpuset.cpus", c"cpuset.mems"] };
        let explicit = limits.cpus.or(limits.mems).is_some();
        settings.add(cpus, None, or_of_parent(limits.cpus, cpus)?, Comparison::List, explicit);
        settings.add(mems, None, or_of_parent(limits.mems, mems)?, Comparison::List, explicit);
    }
    if controllers.has(Controller::Pids) {
        settings.pids(limits.pids, None, limits.count_pids);
    }
    Ok(())
}

/// Settings, in the order in which they are written.
#[derive(Default)]
pub struct Settings(pub Vec<Setting>);

impl Settings {
    /// Adds a number, if there is such a limit.
    pub fn number(&mut self, file: &'static CStr, limit: Option<Limit>, comparison: Comparison) {
        if let Some(Limit { value, explicit }) = limit {
            let value = bytes::to_decimal(value).leak();
            self.0.push(Setting { file, effective: None, value, comparison, explicit });
        }
    }

    /// Adds a setting.
    pub fn add(
        &mut self,
        file: &'static CStr,
        effective: Option<&'static CStr>,
        value: &'static [u8],
        comparison: Comparison,
        explicit: bool,
    ) {
        self.0.push(Setting { file, effective, value, comparison, explicit });
    }

    /// Adds the limit on processes: the lower one of `own` and `callers`. `max` for a group that only `counts` them.
    pub fn pids(&mut self, own: Option<Limit>, callers: Option<u64>, counts: bool) {
        let callers = callers.map(|value| Limit { value, explicit: true });
        let lower =
            if own.is_none_or(|own| callers.is_some_and(|callers| callers.value < own.value)) { callers } else { own };
        let file = c"pids.max";
        self.number(file, lower, Comparison::Exact);
        if lower.is_none() && counts {
            self.add(file, None, b"max", Comparison::Exact, false);
        }
    }
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
        let got = got.trim_ascii();
        if same(self.comparison, self.value, got) {
            return Ok(());
        }
        let got = if got.is_empty() { b"nothing" } else { got };
        Err(Error::limit(file.to_str().unwrap_or_default(), self.value, got))
    }

    /// Says what errno alone does not say.
    fn explain(&self, error: Error) -> Error {
        let file = self.file.to_bytes();
        let is_list = self.comparison == Comparison::List;
        let hint = if error.is(Errno::ENOENT) {
            if file.starts_with(b"memory.memsw") || file.starts_with(b"memory.swap") {
                "this kernel does not account swap; boot with swapaccount=1"
            } else {
                "the controller is not available in this cgroup"
            }
        } else if is_list && error.is_one_of(&[Errno::ERANGE, Errno::EINVAL, Errno::EACCES, Errno::ENODEV]) {
            "not among the CPUs or memory nodes that the parent cgroup has, if it has any yet"
        } else if file.starts_with(b"cpu.cfs") && error.is(Errno::EINVAL) {
            "more than the parent cgroup's own quota allows"
        } else {
            return error;
        };
        error.with_hint(hint)
    }
}

/// Whether the kernel holds what was asked for: `got` is what was read back.
pub fn same(comparison: Comparison, asked: &[u8], got: &[u8]) -> bool {
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
