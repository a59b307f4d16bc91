//! Limits on a v1 hierarchy.

use super::host::{Controllers, Hierarchy};
use super::limits::Settings;
use crate::error::Result;
use crate::options::Limits;
use crate::text;
use core::ffi::CStr;

/// Adds what is written, in the order the kernel takes it. `parent` is where the group is made.
pub fn settings(settings: &mut Settings, limits: &Limits, hierarchy: &Hierarchy, parent: &CStr) -> Result<()> {
    settings.number(c"memory.limit_in_bytes", &limits.memory, b"");
    // memory.memsw is both together, and may not be less than memory alone at any time.
    settings.number(c"memory.memsw.limit_in_bytes", &limits.memory_and_swap(), b"");
    settings.number(c"cpu.shares", &limits.shares, b"");
    settings.number(c"cpu.cfs_period_us", &limits.period(), b"");
    settings.number(c"cpu.cfs_quota_us", &limits.quota, b"");
    settings.number(c"pids.max", &limits.pids, b"");
    if settings.controllers.has(Controllers::CPUSET) {
        // Both must be filled before a process can join; what was not asked for is the parent's.
        settings.list(c"cpuset.cpus", None, &Some(or_parents(limits.cpus, hierarchy, parent, c"cpuset.cpus")?));
        settings.list(c"cpuset.mems", None, &Some(or_parents(limits.mems, hierarchy, parent, c"cpuset.mems")?));
    }
    Ok(())
}

#[inline(never)]
fn or_parents(
    asked: Option<&'static [u8]>,
    hierarchy: &Hierarchy,
    parent: &CStr,
    file: &CStr,
) -> Result<&'static [u8]> {
    if let Some(list) = asked {
        return Ok(list);
    }
    let path = text::c_string(&[parent.to_bytes(), b"/", file.to_bytes()]);
    let mut buffer = [0u8; 4096];
    let list = hierarchy.top.read(path, &mut buffer)?;
    Ok(text::c_string(&[text::trimmed(list)]).to_bytes())
}
