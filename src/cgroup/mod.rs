//! cgroups: where this host has them, and the life of the container's own. Sources: cgroups(7), and the kernel's
//! Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.

pub mod host;
pub mod limits;
pub mod v1;
pub mod v2;

pub use host::{Controller, Hierarchy, Host, Version};

use crate::error::{Errno, Error, Result};
use crate::options::Limits;
use crate::sys::{self, Dir};
use crate::text::{self, Text};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use limits::Setting;

/// What every directory of ours begins with; a sweep looks for it.
pub const PREFIX: &[u8] = b"mydocker-";

/// One directory that the container gets, in one hierarchy.
pub struct Group {
    /// Which of the host's hierarchies.
    pub hierarchy: usize,
    /// The cgroup that it is made in, below the hierarchy's mount point.
    pub parent: CString,
    /// What must be enabled before, on v2: a directory below the mount point, and what to write to its
    /// `cgroup.subtree_control`.
    pub enable: Vec<(CString, &'static [u8])>,
    /// The limits, in the order they are written.
    pub settings: Vec<Setting>,
    /// Its memory counters tell of OOM kills.
    pub memory: bool,
    /// One of its limits was asked for, or its place; else a host that refuses goes without it.
    pub asked: bool,
}

/// Which controllers the limits need; with `asked`, only those of limits that were asked for.
pub fn needed(limits: &Limits, asked: bool) -> Vec<Controller> {
    let memory = limits.memory.iter().chain(&limits.swap).any(|limit| limit.asked || !asked);
    let cpu = limits.quota.is_some() || limits.shares.iter().any(|shares| shares.asked || !asked);
    let cpuset = limits.cpus.is_some() || limits.mems.is_some();
    let needed = [memory, cpu, cpuset, limits.pids.is_some()];
    Controller::ALL.into_iter().zip(needed).filter_map(|(controller, needed)| needed.then_some(controller)).collect()
}

/// The groups that the limits need on this host. What was asked for and cannot be is an error; a default that cannot
/// be is left out. `cgroup_parent`: where, instead of below the caller's own; absolute, or relative to it.
pub fn groups(host: &Host, limits: &Limits, cgroup_parent: Option<&str>) -> Result<Vec<Group>> {
    let all = needed(limits, false);
    let asked = needed(limits, true);
    for controller in &asked {
        if host.carrying(*controller).is_none() {
            return Err(Error::Refused {
                what: "controller",
                subject: Text::quoted(&[controller.name().as_bytes()]),
                hint: "not available: no cgroup hierarchy of this host carries it",
            });
        }
    }
    let mut groups = Vec::new();
    for (index, hierarchy) in host.hierarchies.iter().enumerate() {
        let here = |wanted: &[Controller]| -> Vec<Controller> {
            wanted.iter().copied().filter(|c| hierarchy.controllers.contains(c)).collect()
        };
        let (all, asked) = (here(&all), here(&asked));
        if all.is_empty() {
            continue;
        }
        let group = match group(index, hierarchy, limits, &all, cgroup_parent) {
            Err(_) if asked.is_empty() && cgroup_parent.is_none() => continue,
            Err(_) if asked != all && !asked.is_empty() => group(index, hierarchy, limits, &asked, cgroup_parent)?,
            other => other?,
        };
        groups.push(group);
    }
    Ok(groups)
}

fn group(
    index: usize,
    hierarchy: &Hierarchy,
    limits: &Limits,
    controllers: &[Controller],
    cgroup_parent: Option<&str>,
) -> Result<Group> {
    let wanted = cgroup_parent.map(|path| match path.strip_prefix('/') {
        Some(absolute) => host::below_top(absolute.as_bytes()),
        None => host::below_top(&[&hierarchy.own, b"/".as_slice(), path.as_bytes()].concat()),
    });
    let place = match hierarchy.version {
        Version::V2 => v2::place(hierarchy, wanted.as_deref(), controllers)?,
        Version::V1 => {
            let parent = wanted.as_deref().unwrap_or(&hierarchy.own);
            v2::Place { parent: CString::new(parent).unwrap_or_default(), enable: Vec::new() }
        }
    };
    let mut settings = Vec::new();
    for controller in controllers {
        settings.extend(match hierarchy.version {
            Version::V1 => v1::settings(*controller, limits, hierarchy, &place.parent)?,
            Version::V2 => v2::settings(*controller, limits),
        });
    }
    let memory = controllers.contains(&Controller::Memory);
    let asked = cgroup_parent.is_some() || settings.iter().any(|setting| setting.asked);
    Ok(Group { hierarchy: index, parent: place.parent, enable: place.enable, settings, memory, asked })
}

/// Makes the directory `name` in `parent`, and holds its lock: a directory without one is a leftover. A leftover of the
/// same name is made anew, for its limits are those of another run.
pub fn make(parent: &Dir, name: &CStr) -> Result<Dir> {
    // Only a sweeper or another run of this name can come between; neither holds on for long.
    for _ in 0..100 {
        let made = match parent.mkdirat(name) {
            Ok(()) => true,
            Err(e) if e.is(Errno::EEXIST) => false,
            Err(e) => return Err(e),
        };
        let dir = match Dir::open(Some(parent), name) {
            Ok(dir) => dir,
            Err(e) if e.is(Errno::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        // A sweeper may have the lock of what was made just now: wait for it. Who has the lock of what was there is
        // another run.
        if !sys::flock(&dir, made)? {
            return Err(Error::Refused {
                what: "a container of this name is already running:",
                subject: Text::quoted(&[dir.path()]),
                hint: "choose another --name",
            });
        }
        if !made {
            match remove(parent, name) {
                Ok(()) => continue,
                Err(e) if e.is(Errno::ENOENT) => continue,
                Err(e) => return Err(e),
            }
        }
        // mkdir, open, flock: a sweeper that came between has removed what the lock is on.
        if dir.has(c"cgroup.procs")? {
            return Ok(dir);
        }
    }
    Err(Error::Refused {
        what: "cgroup",
        subject: Text::quoted(&[name.to_bytes()]),
        hint: "it is removed as soon as it is made",
    })
}

/// Removes the directory. A kernel that is still ending the last process says EBUSY: ten tries, the first pause 1 ms,
/// each twice the one before.
pub fn remove(parent: &Dir, name: &CStr) -> Result<()> {
    let mut pause = 1_000_000;
    for _ in 0..10 {
        match parent.rmdir(name) {
            Err(e) if e.is(Errno::EBUSY) => sys::nanosleep(pause)?,
            other => return other,
        }
        pause *= 2;
    }
    parent.rmdir(name)
}

/// How many leftovers one run looks at.
const SWEEP_AT_MOST: usize = 8;

/// Removes what runs that were killed have left in `parent`: directories of ours whose lock can be taken. `turn` differs
/// from run to run, so that every directory is looked at sooner or later. Whatever it meets, it goes on: it is a service
/// to others. Returns the names removed.
pub fn sweep(parent: &Dir, own: &CStr, turn: usize) -> Vec<CString> {
    let mut names = sys::directory_names(parent, PREFIX).unwrap_or_default();
    names.retain(|name| name != own.to_bytes());
    let start = if names.len() > SWEEP_AT_MOST { turn % names.len() } else { 0 };
    let mut removed = Vec::new();
    for name in names.iter().cycle().skip(start).take(names.len().min(SWEEP_AT_MOST)) {
        if let Ok(name) = CString::new(name.as_slice())
            && sweep_one(parent, &name)
        {
            removed.push(name);
        }
    }
    removed
}

/// Removes `name` if it is a leftover; says whether it did.
pub fn sweep_one(parent: &Dir, name: &CStr) -> bool {
    let Ok(dir) = Dir::open(Some(parent), name) else { return false };
    if !matches!(sys::flock(&dir, false), Ok(true)) {
        return false;
    }
    match parent.rmdir(name) {
        // With --pid host, what the command had started outlives it.
        Err(e) if e.is(Errno::EBUSY) => end_members(&dir) && remove(parent, name).is_ok(),
        other => other.is_ok(),
    }
}

/// SIGKILL to every process in the group. `false`: its list cannot be read.
fn end_members(dir: &Dir) -> bool {
    let mut buffer = alloc::vec![0u8; 4096];
    let Ok(pids) = dir.read(c"cgroup.procs", &mut buffer) else { return false };
    for pid in text::words(pids).filter_map(|word| text::decimal(word).ok()) {
        // 0 stands for a process outside this PID namespace: it cannot be named from here.
        if pid != 0 && sys::kill(sys::Pid(pid as i32), libc::SIGKILL).is_err() {
            return false;
        }
    }
    true
}

/// What the memory counters say when the container has ended.
pub struct Memory {
    /// How many processes the kernel has killed for want of memory.
    pub kills: u64,
    /// The most that was used, in bytes, where the kernel tells.
    pub peak: Option<u64>,
}

/// Reads the counters; the peak only if there is something to report.
pub fn memory(dir: &Dir, version: Version) -> Option<Memory> {
    let (events, peak) = match version {
        Version::V1 => (c"memory.oom_control", c"memory.max_usage_in_bytes"),
        Version::V2 => (c"memory.events", c"memory.peak"),
    };
    let mut buffer = [0u8; 512];
    let kills = text::decimal(text::field(dir.read(events, &mut buffer).ok()?, b"oom_kill")?).ok()?;
    let peak = match kills {
        0 => None,
        _ => dir.read(peak, &mut buffer).ok().and_then(|peak| text::decimal(text::trimmed(peak)).ok()),
    };
    Some(Memory { kills, peak })
}
