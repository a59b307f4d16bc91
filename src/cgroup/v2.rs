//! Limits on the v2 hierarchy, and the one thing that is hard about it: a cgroup with processes cannot hold groups with
//! controllers (cgroup-v2.rst, "No Internal Process Constraint"), and the caller's own has the caller in it.

use super::Enable;
use super::host::{Controllers, Hierarchy};
use super::limits::Settings;
use crate::error::{Errno, Error, Result};
use crate::options::{Limit, Limits};
use crate::says;
use crate::sys::Dir;
use crate::text;
use alloc::vec::Vec;
use core::f64::consts::LOG2_10;
use core::ffi::CStr;

/// Adds what is written.
#[inline(never)]
pub fn settings(settings: &mut Settings, limits: &Limits) {
    let weight = limits.shares.map(|shares| Limit { value: weight(shares.value), asked: shares.asked });
    settings.number(c"memory.max", &limits.memory, b"");
    settings.number(c"memory.swap.max", &limits.swap, b"");
    settings.number(c"cpu.weight", &weight, b"");
    settings.number(c"cpu.max", &limits.quota, b" 100000");
    settings.number(c"pids.max", &limits.pids, b"");
    // What was written is kept even where the parent does not have it: only .effective tells.
    settings.list(c"cpuset.cpus", Some(c"cpuset.cpus.effective"), &limits.cpus);
    settings.list(c"cpuset.mems", Some(c"cpuset.mems.effective"), &limits.mems);
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

/// Where a group can be made, and what must be enabled for it, from the top down: the caller's own cgroup or the nearest
/// ancestor that can hold children with `needed`; or exactly `wanted`. `asked` are those of `needed` that limits which were
/// asked for need.
pub fn place(
    hierarchy: &Hierarchy,
    wanted: Option<&'static CStr>,
    needed: Controllers,
    asked: Controllers,
) -> Result<(&'static CStr, Vec<Enable>)> {
    let parent = match wanted {
        Some(wanted) => {
            // So that it is the one that is named if it is not there.
            drop(Dir::open(Some(&hierarchy.top), wanted)?);
            wanted
        }
        None => nearest(hierarchy, needed)?,
    };
    let mut enable = Vec::new();
    for end in ends_of_parts(parent.to_bytes()) {
        let dir = parent.to_bytes().get(..end).unwrap_or_default();
        let enabled = enabled(hierarchy, dir)?;
        for &(controller, name) in Controllers::NAMED {
            if !needed.has(controller) || enabled.has(controller) {
                continue;
            }
            // In a populated cgroup +memory is EBUSY, yet +cpu succeeds and makes the children invalid.
            if holds_processes(hierarchy, dir)? {
                return Err(Error::refused(
                    says!("cgroup"),
                    &[hierarchy.top.path(), dir.get(1..).unwrap_or_default()],
                    says!(
                        "it holds processes, so its children cannot have controllers; name another with --cgroup-parent"
                    ),
                ));
            }
            let word = text::c_string(&[b"+", name]).to_bytes();
            enable.push(Enable { file: file(dir, SUBTREE_CONTROL), word, asked: asked.has(controller) });
        }
    }
    Ok((parent, enable))
}

/// From the caller's own cgroup upwards, the first that can hold children with `needed`.
fn nearest(hierarchy: &Hierarchy, needed: Controllers) -> Result<&'static CStr> {
    let mut dir = hierarchy.own.to_bytes();
    while !can_hold(hierarchy, dir, needed)? {
        refuse_to_leave_limits(hierarchy, dir)?;
        let Some(slash) = dir.iter().rposition(|&b| b == b'/') else {
            return Err(Error::refused(
                says!("no cgroup above the own one can hold children:"),
                &[hierarchy.top.path()],
                says!("name one without processes with --cgroup-parent"),
            ));
        };
        dir = dir.get(..slash).unwrap_or_default();
    }
    Ok(text::c_string(&[dir]))
}

/// For "./a/b": the ends of ".", "./a" and "./a/b".
fn ends_of_parts(path: &[u8]) -> impl Iterator<Item = usize> {
    (1..=path.len()).filter(|end| matches!(path.get(*end), None | Some(b'/')))
}

/// Who holds no processes can hold children with controllers; and who has them enabled already, can.
fn can_hold(hierarchy: &Hierarchy, dir: &[u8], needed: Controllers) -> Result<bool> {
    Ok(!holds_processes(hierarchy, dir)? || enabled(hierarchy, dir)?.has(needed))
}

/// Whether processes are in this very cgroup, and in the way of children with controllers: those of the real root are not.
/// It has no `cgroup.type`; the root of a cgroup namespace has. A threaded cgroup does not tell (EOPNOTSUPP), and can hold
/// none of ours.
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

/// Names the controllers that a cgroup's children have; takes `+name`.
const SUBTREE_CONTROL: &[u8] = b"/cgroup.subtree_control";

/// The controllers that the children of `dir` have.
fn enabled(hierarchy: &Hierarchy, dir: &[u8]) -> Result<Controllers> {
    let mut buffer = [0u8; 512];
    hierarchy.top.read(file(dir, SUBTREE_CONTROL), &mut buffer).map(Controllers::in_list)
}

/// The files that hold a limit, and what they hold when there is none.
const LIMITS: &[(&[u8], &[u8])] = &[
    (b"/memory.max", b"max"),
    (b"/memory.high", b"max"),
    (b"/memory.swap.max", b"max"),
    (b"/cpu.max", b"max 100000"),
    (b"/cpuset.cpus", b""),
    (b"/cpuset.mems", b""),
    (b"/pids.max", b"max"),
    (b"/io.max", b""),
];

/// A group made above a limited one would lift the caller's own limits.
fn refuse_to_leave_limits(hierarchy: &Hierarchy, dir: &[u8]) -> Result<()> {
    let mut buffer = [0u8; 4096];
    for (name, unlimited) in LIMITS {
        let path = file(dir, name);
        let value = match hierarchy.top.read(path, &mut buffer) {
            Err(e) if e.is(Errno::ENOENT) => continue,
            other => text::trimmed(other?),
        };
        // cpu.max keeps its period when its quota is lifted.
        if value != *unlimited && !value.starts_with(b"max ") {
            return Err(Error::refused(
                says!("the own cgroup has a limit, and cannot hold children:"),
                &[hierarchy.top.path(), path.to_bytes().get(1..).unwrap_or_default()],
                says!("name a cgroup to use with --cgroup-parent"),
            ));
        }
    }
    Ok(())
}

fn file(dir: &[u8], name: &[u8]) -> &'static CStr {
    text::c_string(&[dir, name])
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
