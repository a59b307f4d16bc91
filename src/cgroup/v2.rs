//! Limits on the v2 hierarchy, and the one thing that is hard about it: a cgroup with processes cannot hold groups with
//! controllers (cgroup-v2.rst, "No Internal Process Constraint"), and the caller's own has the caller in it.

use super::Enable;
use super::host::{Controller, Hierarchy};
use super::limits::{Form, Setting};
use crate::error::{Errno, Error, Result};
use crate::options::Limits;
use crate::sys::Dir;
use crate::text::{self, Put, to_decimal};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is written for `controller`.
pub fn settings(controller: Controller, limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |file, effective, value, form, asked| {
        settings.push(Setting { file, effective, value, form, asked });
    };
    match controller {
        Controller::Memory => {
            if let Some(memory) = limits.memory {
                add(c"memory.max", None, to_decimal(memory.value), Form::Bytes, memory.asked);
                if let Some(swap) = limits.swap {
                    add(c"memory.swap.max", None, to_decimal(swap.value), Form::Bytes, swap.asked);
                }
            }
        }
        Controller::Cpu => {
            if let Some(shares) = limits.shares {
                add(c"cpu.weight", None, to_decimal(weight(shares.value)), Form::Exact, shares.asked);
            }
            if let Some(quota) = limits.quota {
                let mut value = to_decimal(quota);
                value.put(b" 100000");
                add(c"cpu.max", None, value, Form::Exact, true);
            }
        }
        Controller::Cpuset => {
            // What was written is kept even where the parent does not have it: only .effective tells.
            if let Some(cpus) = &limits.cpus {
                add(c"cpuset.cpus", Some(c"cpuset.cpus.effective"), cpus.clone(), Form::List, true);
            }
            if let Some(mems) = &limits.mems {
                add(c"cpuset.mems", Some(c"cpuset.mems.effective"), mems.clone(), Form::List, true);
            }
        }
        Controller::Pids => {
            if let Some(pids) = limits.pids {
                add(c"pids.max", None, to_decimal(pids), Form::Exact, true);
            }
        }
    }
    settings
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
    // The least weight whose logarithm reaches the exponent; the bit of slack is for rounding, not for values.
    let (mut low, mut high) = (1, 10000);
    while low < high {
        let middle = (low + high) / 2;
        if log2(middle as f64) / log2(10.0) >= exponent - 1e-10 {
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

/// Where a group can be made, and what must be enabled for it, from the top down.
pub struct Place {
    /// The directory that will hold the group.
    pub parent: CString,
    /// What to enable.
    pub enable: Vec<Enable>,
}

/// The caller's own cgroup or the nearest ancestor that can hold children with `needed`; or exactly `wanted`. `asked` are
/// those of `needed` that limits which were asked for need.
pub fn place(
    hierarchy: &Hierarchy,
    wanted: Option<&[u8]>,
    needed: &[Controller],
    asked: &[Controller],
) -> Result<Place> {
    let mut parent = wanted.unwrap_or(&hierarchy.own);
    if wanted.is_none() {
        while !can_hold(hierarchy, parent, needed)? {
            refuse_to_leave_limits(hierarchy, parent)?;
            let Some(slash) = parent.iter().rposition(|&b| b == b'/') else {
                return Err(Error::refused(
                    "no cgroup above the own one can hold children:",
                    &[hierarchy.top.path()],
                    "name one without processes with --cgroup-parent",
                ));
            };
            parent = parent.get(..slash).unwrap_or_default();
        }
    }
    if wanted.is_some() {
        // So that it is the one that is named if it is not there.
        drop(Dir::open(Some(&hierarchy.top), &c_string(parent))?);
    }
    let mut enable = Vec::new();
    for end in ends_of_parts(parent) {
        let dir = parent.get(..end).unwrap_or_default();
        for controller in needed {
            if !lists(hierarchy, dir, c"cgroup.subtree_control", *controller)? {
                // In a populated cgroup +memory is EBUSY, yet +cpu succeeds and makes the children invalid.
                if !is_root(hierarchy, dir)? && is_populated(hierarchy, dir)? {
                    return Err(Error::refused(
                        "cgroup",
                        &[hierarchy.top.path(), dir.get(1..).unwrap_or_default()],
                        "it holds processes, so its children cannot have controllers; name another with --cgroup-parent",
                    ));
                }
                enable.push(Enable { dir: c_string(dir), word: plus(*controller), asked: asked.contains(controller) });
            }
        }
    }
    Ok(Place { parent: c_string(parent), enable })
}

/// The kernel's spelling of "enable this".
fn plus(controller: Controller) -> &'static [u8] {
    match controller {
        Controller::Memory => b"+memory",
        Controller::Cpu => b"+cpu",
        Controller::Cpuset => b"+cpuset",
        Controller::Pids => b"+pids",
    }
}

/// For "./a/b": the ends of ".", "./a" and "./a/b".
fn ends_of_parts(path: &[u8]) -> impl Iterator<Item = usize> {
    let inner = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    inner.chain(core::iter::once(path.len()))
}

/// Only the real root may hold processes and children with controllers; and who has them enabled already, can.
fn can_hold(hierarchy: &Hierarchy, dir: &[u8], needed: &[Controller]) -> Result<bool> {
    if is_root(hierarchy, dir)? || !is_populated(hierarchy, dir)? {
        return Ok(true);
    }
    for controller in needed {
        if !lists(hierarchy, dir, c"cgroup.subtree_control", *controller)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The real root has no `cgroup.type`; the root of a cgroup namespace has.
fn is_root(hierarchy: &Hierarchy, dir: &[u8]) -> Result<bool> {
    hierarchy.top.has(&file(dir, c"cgroup.type")).map(|there| !there)
}

/// Whether processes are in this very cgroup. A threaded one does not tell (EOPNOTSUPP), and can hold none of ours.
fn is_populated(hierarchy: &Hierarchy, dir: &[u8]) -> Result<bool> {
    let mut buffer = [0u8; 16];
    match hierarchy.top.read(&file(dir, c"cgroup.procs"), &mut buffer) {
        Ok(pids) => Ok(!pids.is_empty()),
        Err(e) if e.is(Errno::EOPNOTSUPP) => Ok(true),
        Err(e) => Err(e),
    }
}

fn lists(hierarchy: &Hierarchy, dir: &[u8], name: &CStr, controller: Controller) -> Result<bool> {
    let mut buffer = [0u8; 4096];
    let listed = hierarchy.top.read(&file(dir, name), &mut buffer)?;
    Ok(text::words(listed).any(|word| word == controller.name().as_bytes()))
}

/// The files that hold a limit, and what they hold when there is none.
const LIMITS: &[(&CStr, &[u8])] = &[
    (c"memory.max", b"max"),
    (c"memory.high", b"max"),
    (c"memory.swap.max", b"max"),
    (c"cpu.max", b"max 100000"),
    (c"cpuset.cpus", b""),
    (c"cpuset.mems", b""),
    (c"pids.max", b"max"),
    (c"io.max", b""),
];

/// A group made above a limited one would lift the caller's own limits.
fn refuse_to_leave_limits(hierarchy: &Hierarchy, dir: &[u8]) -> Result<()> {
    let mut buffer = [0u8; 4096];
    for (name, unlimited) in LIMITS {
        let path = file(dir, name);
        let value = match hierarchy.top.read(&path, &mut buffer) {
            Err(e) if e.is(Errno::ENOENT) => continue,
            other => text::trimmed(other?),
        };
        let lifted = value == *unlimited || (*name == c"cpu.max" && value.starts_with(b"max "));
        if !lifted {
            return Err(Error::refused(
                "the own cgroup has a limit, and cannot hold children:",
                &[hierarchy.top.path(), path.to_bytes().get(1..).unwrap_or_default()],
                "name a cgroup to use with --cgroup-parent",
            ));
        }
    }
    Ok(())
}

fn file(dir: &[u8], name: &CStr) -> CString {
    let mut path = dir.to_vec();
    path.push(b'/');
    path.extend_from_slice(name.to_bytes());
    c_string(&path)
}

/// Paths come from the kernel or from argv: neither holds a NUL.
fn c_string(path: &[u8]) -> CString {
    CString::new(path).unwrap_or_default()
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
