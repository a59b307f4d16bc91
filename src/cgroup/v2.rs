//! Limits on the v2 hierarchy, and the difficulty with it: a cgroup that has processes cannot have children with controllers
//! (cgroup-v2.rst, "No Internal Process Constraint"), and the caller's own cgroup has at least the caller.

use super::Enable;
use super::hierarchy::{Controller, Controllers, Hierarchy};
use super::limits::{Comparison, Settings};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::limits::{Limit, Limits, PERIOD};
use crate::sys::Dir;
use alloc::vec::Vec;
use core::f64::consts::LOG2_10;
use core::ffi::CStr;

/// Adds what is written to its files. `processes`: the caller's limit
/// on them, from [`choose_parent`].
pub fn settings(limits: &Limits, controllers: Controllers, processes: Option<u64>, settings: &mut Settings) {
    if controllers.has(Controller::Memory) {
        settings.number(c"memory.max", limits.memory, Comparison::Bytes);
        settings.number(c"memory.swap.max", limits.swap, Comparison::Bytes);
        settings.number(c"memory.low", limits.reservation, Comparison::Bytes);
    }
    if controllers.has(Controller::Cpu) {
        let weight = limits.shares.map(|shares| Limit { value: weight(shares.value), ..shares });
        settings.number(c"cpu.weight", weight, Comparison::Exact);
        if let Some(Limit { value, explicit }) = limits.quota {
            let period = bytes::to_decimal(limits.period.unwrap_or(PERIOD));
            let value = bytes::c_string(&[&bytes::to_decimal(value), b" ", &period]).to_bytes();
            settings.add(c"cpu.max", None, value, Comparison::Exact, explicit);
        }
    }
    if controllers.has(Controller::Cpuset) {
        // The file keeps what was written even where the parent does not have it: only .effective tells.
        if let Some(list) = limits.cpus {
            settings.add(c"cpuset.cpus", Some(c"cpuset.cpus.effective"), list, Comparison::List, true);
        }
        if let Some(list) = limits.mems {
            settings.add(c"cpuset.mems", Some(c"cpuset.mems.effective"), list, Comparison::List, true);
        }
    }
    match controllers.has(Controller::Pids) {
        true => settings.pids(limits.pids, processes, limits.count_pids),
        false => settings.pids(None, processes, false),
    }
}

/// cpu.weight (1 to 10000) for v1's shares (2 to 262144), as runc and crun have it since 2025:
/// `ceil(10^((l^2 + 125 l)/612 - 7/34))` with l = log2(shares); 1024 shares are weight 100.
pub fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => return 1,
        262144.. => return 10000,
        _ => {}
    }
    let l = log2(shares as f64);
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    // The least weight whose logarithm reaches it; the bit of slack is for rounding, not for values.
    let logarithm = (exponent - 1e-10) * LOG2_10;
    let (mut low, mut high) = (1, 10000);
    while low < high {
        let middle = (low + high) / 2;
        if log2(middle as f64) >= logarithm {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The binary logarithm of a number of at least 1, bit by bit: there is no libm here.
fn log2(mut x: f64) -> f64 {
    let mut log = 0.0;
    while x >= 2.0 {
        x /= 2.0;
        log += 1.0;
    }
    let mut bit = 0.5;
    for _ in 0..48 {
        x *= x;
        if x >= 2.0 {
            x /= 2.0;
            log += bit;
        }
        bit /= 2.0;
    }
    log
}

/// Where a group can be created: in the caller's cgroup or the nearest ancestor that can have children with the `needed`
/// controllers; or in exactly the `wanted` one. Also returns the limit on processes of the cgroups below an ancestor, which the group
/// is to have: see [`processes_of`].
pub fn choose_parent(
    hierarchy: &Hierarchy,
    wanted: Option<&'static CStr>,
    needed: Controllers,
) -> Result<(&'static CStr, Option<u64>)> {
    let Some(wanted) = wanted else { return nearest(hierarchy, needed) };
    // If it does not exist, this error names it.
    let opened = Dir::open(Some(&hierarchy.top), wanted);
    opened
        .map(|_| (wanted, None))
        .map_err(|e| e.hint_for(&[(Errno::ENOENT, "make it first; or name another with --cgroup-parent")]))
}

/// Adds what must be enabled for a group in `parent`, from the top down. Limits that the user asked for need those of the
/// `needed` controllers that are `explicit`.
pub fn enable(
    hierarchy: &Hierarchy,
    parent: &CStr,
    needed: Controllers,
    explicit: Controllers,
    enable: &mut Vec<Enable>,
) -> Result<()> {
    for end in ends_of_parts(parent.to_bytes()) {
        let dir = parent.to_bytes().get(..end).unwrap_or_default();
        let missing = needed.without(enabled(hierarchy, dir)?);
        for &controller in &Controller::ALL {
            if !missing.has(controller) {
                continue;
            }
            // In a populated cgroup +memory is EBUSY, yet +cpu succeeds and makes the children invalid.
            if holds_processes(hierarchy, dir)? {
                return Err(Error::refused(
                    "cgroup",
                    &[hierarchy.top.path, dir.get(1..).unwrap_or_default()].concat(),
                    "it holds processes, so its children cannot have controllers; name another with --cgroup-parent",
                ));
            }
            let word = bytes::c_string(&[b"+", controller.name().as_bytes()]).to_bytes();
            let file = file(dir, SUBTREE_CONTROL);
            enable.push(Enable { file, word, explicit: explicit.has(controller) });
        }
    }
    Ok(())
}

/// From the caller's cgroup upwards, the first that can have children with the `needed` controllers.
fn nearest(hierarchy: &Hierarchy, needed: Controllers) -> Result<(&'static CStr, Option<u64>)> {
    let mut dir = hierarchy.callers.to_bytes();
    let mut processes = None;
    while !can_have_children(hierarchy, dir, needed)? {
        refuse_to_leave_limits(hierarchy, dir)?;
        processes = [processes, processes_of(hierarchy, dir)?].into_iter().flatten().min();
        let Some(slash) = dir.iter().rposition(|&b| b == b'/') else {
            return Err(Error::refused(
                "no cgroup above the caller's can have children:",
                hierarchy.top.path,
                "name one without processes with --cgroup-parent",
            ));
        };
        dir = dir.get(..slash).unwrap_or_default();
    }
    Ok((bytes::c_string(&[dir]), processes))
}

/// For "./a/b": the ends of ".", "./a" and "./a/b".
fn ends_of_parts(path: &[u8]) -> impl Iterator<Item = usize> {
    (1..path.len() + 1).filter(|end| matches!(path.get(*end), None | Some(b'/')))
}

/// A cgroup can have children with controllers if it holds no processes, or has already enabled the controllers.
fn can_have_children(hierarchy: &Hierarchy, dir: &[u8], needed: Controllers) -> Result<bool> {
    if !holds_processes(hierarchy, dir)? {
        return Ok(true);
    }
    Ok(needed.without(enabled(hierarchy, dir)?) == Controllers::NONE)
}

/// Whether this very cgroup has processes, which rule out children with controllers. The real root is exempt; it is the one
/// cgroup without a `cgroup.type` (the root of a cgroup namespace has one). A threaded cgroup answers EOPNOTSUPP, and cannot
/// have children of ours.
fn holds_processes(hierarchy: &Hierarchy, dir: &[u8]) -> Result<bool> {
    if !hierarchy.top.has(file(dir, b"/cgroup.type"))? {
        return Ok(false);
    }
    let mut buffer = [0u8; 16];
    match hierarchy.top.read(file(dir, b"/cgroup.procs"), &mut buffer) {
        Ok(pids) => Ok(!pids.is_empty()),
        Err(e) if e.is(Errno::EOPNOTSUPP) => Ok(true),
        Err(e) => Err(e),
    }
}

/// The controllers that the children of a cgroup have; it takes `+name`.
const SUBTREE_CONTROL: &[u8] = b"/cgroup.subtree_control";

/// The controllers that the children of `dir` have.
fn enabled(hierarchy: &Hierarchy, dir: &[u8]) -> Result<Controllers> {
    let mut buffer = [0u8; 512];
    hierarchy.top.read(file(dir, SUBTREE_CONTROL), &mut buffer).map(|list| Controllers::in_list(list, b' '))
}

/// The files of limits, and what each holds if there is no limit.
const LIMITS: &[(&[u8], &[u8])] = &[
    (b"/memory.max", b"max"),
    (b"/memory.high", b"max"),
    (b"/memory.swap.max", b"max"),
    (b"/cpu.max", b"max 100000"),
    (b"/cpuset.cpus", b""),
    (b"/cpuset.mems", b""),
    (b"/io.max", b""),
];

/// The limit on processes of a cgroup. systemd gives one to each service and each scope (DefaultTasksMax=): a group that is created
/// above gets it as its own.
fn processes_of(hierarchy: &Hierarchy, dir: &[u8]) -> Result<Option<u64>> {
    let mut buffer = [0u8; 32];
    match hierarchy.top.read(file(dir, b"/pids.max"), &mut buffer) {
        Err(e) if e.is(Errno::ENOENT) => Ok(None),
        other => other.map(|limit| bytes::decimal(limit.trim_ascii()).ok()),
    }
}

/// A group that is created above a limited cgroup would escape the limits of the caller.
fn refuse_to_leave_limits(hierarchy: &Hierarchy, dir: &[u8]) -> Result<()> {
    let mut buffer = [0u8; 4096];
    for (name, unlimited) in LIMITS {
        let path = file(dir, name);
        let value = match hierarchy.top.read(path, &mut buffer) {
            Err(e) if e.is(Errno::ENOENT) => continue,
            other => other?.trim_ascii(),
        };
        // cpu.max keeps its period when its quota is lifted.
        if value != *unlimited && !value.starts_with(b"max ") {
            return Err(Error::refused(
                "the caller's cgroup has a limit, and cannot have children:",
                &[hierarchy.top.path, path.to_bytes().get(1..).unwrap_or_default()].concat(),
                "name a cgroup to use with --cgroup-parent",
            ));
        }
    }
    Ok(())
}

fn file(dir: &[u8], name: &[u8]) -> &'static CStr {
    bytes::c_string(&[dir, name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_the_field_notes() {
        for (shares, expected) in
            [(0, 1), (2, 1), (100, 17), (512, 59), (1024, 100), (2048, 174), (262143, 10000), (262144, 10000)]
        {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn weights_agree_with_the_formula_in_floating_point() {
        for shares in 3..262144u64 {
            let l = (shares as f64).log2();
            let exact = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0);
            let formula = (exact - 1e-7).ceil() as u64;
            assert_eq!(weight(shares), formula, "{shares}");
        }
    }

    #[test]
    fn parts() {
        assert_eq!(ends_of_parts(b"./a/bc").collect::<Vec<_>>(), [1, 3, 6]);
        assert_eq!(ends_of_parts(b".").collect::<Vec<_>>(), [1]);
    }
}
