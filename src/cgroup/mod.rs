//! cgroups: where this host has them, and the life of the container's own. Sources: cgroups(7), and the kernel's
//! Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.

pub mod host;
pub mod limits;
pub mod v1;
pub mod v2;

pub use host::{Controllers, Hierarchy, Host, Version};

use crate::error::{Errno, Error, Result};
use crate::options::{Limit, Limits};
use crate::says;
use crate::sys::{self, Dir};
use crate::text;
use alloc::vec::Vec;
use core::ffi::CStr;
use limits::{Setting, Settings};

/// What every directory of ours begins with; a sweep looks for it.
pub const PREFIX: &[u8] = b"mydocker-";

/// The mode bit by which a sweep knows a directory of ours from one that somebody else has called so: sticky, which has
/// no meaning for a cgroup.
const OURS: u32 = libc::S_ISVTX;

/// One directory that the container gets, in one hierarchy.
pub struct Group {
    /// Which of the host's hierarchies.
    pub hierarchy: &'static Hierarchy,
    /// The cgroup that it is made in, below the hierarchy's mount point.
    pub parent: &'static CStr,
    /// What must be enabled before, on v2, from the top down.
    pub enable: Vec<Enable>,
    /// The limits, in the order they are written.
    pub settings: Vec<Setting>,
    /// Its memory counters tell of OOM kills.
    pub memory: bool,
    /// One of its limits was asked for, or its place; else a host that refuses goes without it.
    pub asked: bool,
}

/// Which controllers the limits need; with `asked`, only those of limits that were asked for.
pub fn needed(limits: &Limits, asked: bool) -> Controllers {
    let wanted = |limit: Option<Limit>| limit.is_some_and(|limit| limit.asked || !asked);
    let if_wanted = |wanted: bool, controller| if wanted { controller } else { Controllers::NONE };
    if_wanted(wanted(limits.memory) || wanted(limits.swap), Controllers::MEMORY)
        .with(if_wanted(wanted(limits.shares) || wanted(limits.quota), Controllers::CPU))
        .with(if_wanted(limits.cpus.is_some() || limits.mems.is_some(), Controllers::CPUSET))
        .with(if_wanted(wanted(limits.pids), Controllers::PIDS))
}

/// Adds the groups that the limits need on this host, for `all` controllers or at least those `asked` for. What was asked
/// for and cannot be is an error; a default that cannot be is left out. `cgroup_parent`: where, instead of below the
/// caller's own; absolute, or relative to it.
pub fn add_groups(
    groups: &mut Vec<Group>,
    host: &Host,
    limits: &Limits,
    cgroup_parent: Option<&str>,
    all: Controllers,
    asked: Controllers,
) -> Result<()> {
    for &(controller, name) in Controllers::NAMED {
        if asked.has(controller) && !host.carries(controller) {
            return Err(Error::refused(
                says!("controller"),
                &[name],
                says!("not available: no cgroup hierarchy of this host carries it"),
            ));
        }
    }
    for &hierarchy in &host.hierarchies {
        let (all, asked) = (all.among(hierarchy.controllers), asked.among(hierarchy.controllers));
        if all.is_empty() {
            continue;
        }
        // A default that cannot be must not hold up what was asked for.
        for controllers in [all, asked] {
            match group(hierarchy, limits, controllers, asked, cgroup_parent) {
                Ok(group) => {
                    groups.push(group);
                    break;
                }
                Err(_) if asked.is_empty() && cgroup_parent.is_none() => break,
                Err(_) if controllers != asked && !asked.is_empty() => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn group(
    hierarchy: &'static Hierarchy,
    limits: &Limits,
    controllers: Controllers,
    asked: Controllers,
    cgroup_parent: Option<&str>,
) -> Result<Group> {
    let wanted = cgroup_parent.map(|path| {
        let above = if path.as_bytes().starts_with(b"/") { b"" } else { hierarchy.own.to_bytes() };
        host::below_top(&[above, path.as_bytes()])
    });
    let mut settings = Settings { controllers, list: Vec::new() };
    let (parent, enable) = match hierarchy.version {
        Version::V1 => {
            let parent = wanted.unwrap_or(hierarchy.own);
            v1::settings(&mut settings, limits, hierarchy, parent)?;
            (parent, Vec::new())
        }
        Version::V2 => {
            v2::settings(&mut settings, limits);
            v2::place(hierarchy, wanted, controllers, asked)?
        }
    };
    let settings = settings.list;
    let memory = controllers.has(Controllers::MEMORY);
    let asked = cgroup_parent.is_some() || settings.iter().any(|setting| setting.asked);
    Ok(Group { hierarchy, parent, enable, settings, memory, asked })
}

impl Group {
    /// Whether it is made right below the hierarchy's mount point.
    pub fn is_at_top(&self) -> bool {
        self.parent == c"."
    }
}

/// One controller to be enabled for the children of one cgroup.
pub struct Enable {
    /// Its `cgroup.subtree_control`, below the hierarchy's mount point.
    pub file: &'static CStr,
    /// What to write to it.
    pub word: &'static [u8],
    /// A limit that was asked for needs it.
    pub asked: bool,
}

/// Why nothing can be made or written in the cgroup filesystem.
pub fn explain(error: Error) -> Error {
    if error.is_one_of(&[Errno::EACCES, Errno::EPERM]) {
        error.with_hint(says!(
            "making a cgroup needs root, or a delegated one: systemd-run --user --scope -p Delegate=yes mydocker run .."
        ))
    } else if error.is(Errno::EROFS) {
        error.with_hint(says!("the cgroup filesystem is mounted read-only"))
    } else {
        error
    }
}

/// Makes the directory `name` in `parent`, and holds its lock: a directory of ours without one is a leftover. A leftover
/// of the same name is made anew, for its limits are those of another run.
pub fn make(parent: &Dir, name: &CStr) -> Result<Dir> {
    // Only sweepers and other runs of this name can come between; none of them holds on for long.
    for _ in 0..100 {
        match parent.mkdirat(name, OURS | 0o755) {
            Ok(()) => match lock(parent, name, true) {
                Ok(Some(dir)) => return Ok(dir),
                // A sweeper came between mkdir and flock, and has removed it.
                Ok(None) => {}
                Err(e) => {
                    // What it failed for is what is said.
                    if let Err(_unsaid) = parent.rmdir(name) {}
                    return Err(e);
                }
            },
            Err(e) if e.is(Errno::EEXIST) => take_over(parent, name)?,
            Err(e) => return Err(explain(e)),
        }
    }
    Err(Error::refused(
        says!("cgroup"),
        &[parent.path(), b"/", name.to_bytes()],
        says!("it is removed as soon as it is made"),
    ))
}

/// Removes a leftover that has the wanted name; if it is no leftover, the name is taken.
fn take_over(parent: &Dir, name: &CStr) -> Result<()> {
    let mut pause = 1_000_000;
    // A quarter of a second in all.
    for _ in 0..8 {
        match lock(parent, name, false)? {
            Some(dir) => return remove_tree(parent, name, &dir),
            // Gone by itself, or locked: by a sweeper for a moment, which a busy host makes longer; by another run for good.
            None => sys::nanosleep(pause)?,
        }
        pause *= 2;
        if !parent.has(name)? {
            return Ok(());
        }
    }
    Err(Error::refused(
        says!("a container of this name is already running:"),
        &[parent.path(), b"/", name.to_bytes()],
        says!("choose another --name"),
    ))
}

/// Opens and locks a directory. `None`: it is gone, perhaps between the two; or without `wait` somebody else has the lock.
fn lock(parent: &Dir, name: &CStr, wait: bool) -> Result<Option<Dir>> {
    let dir = match Dir::open(Some(parent), name) {
        Ok(dir) => dir,
        Err(e) if e.is(Errno::ENOENT) => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok((sys::flock(&dir, wait)? && is_there(&dir)?).then_some(dir))
}

/// A directory that is open may have been removed: then its files are gone.
fn is_there(dir: &Dir) -> Result<bool> {
    dir.has(c"cgroup.procs")
}

/// Removes the directory, with the groups that the container may have made in it. A kernel that is still ending the last
/// process says EBUSY: ten tries, the first pause 1 ms, each twice the one before.
pub fn remove(parent: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    let mut pause = 1_000_000;
    for _ in 0..10 {
        match remove_tree(parent, name, dir) {
            Ok(()) => return Ok(()),
            // Gone by itself is gone; whatever else it is may pass, as EBUSY does.
            Err(e) if e.is(Errno::ENOENT) && !parent.has(name)? => return Err(e),
            Err(_) => sys::nanosleep(pause)?,
        }
        pause *= 2;
    }
    remove_tree(parent, name, dir)
}

/// rmdir, and if it is EBUSY because of groups below, those first.
fn remove_tree(parent: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    match parent.rmdir(name) {
        Err(e) if e.is(Errno::EBUSY) => {}
        other => return other,
    }
    for below in sys::directory_names(dir, b"")? {
        remove_tree(dir, below, &Dir::open(Some(dir), below)?)?;
    }
    parent.rmdir(name)
}

/// How many leftovers one run looks at.
const SWEEP_AT_MOST: usize = 8;

/// Removes what runs that were killed have left in `parent`: directories of ours whose lock can be taken. `turn` differs
/// from run to run, so that every directory is looked at sooner or later. Whatever it meets, it goes on: it is a service
/// to others. Returns the names removed.
pub fn sweep(parent: &Dir, own: &CStr, turn: usize) -> Vec<&'static CStr> {
    let names = sys::directory_names(parent, PREFIX).unwrap_or_default();
    let mut removed = Vec::new();
    for at in 0..names.len().min(SWEEP_AT_MOST) {
        if let Some(&name) = names.get(turn.wrapping_add(at) % names.len())
            && name != own
            && sweep_one(parent, name)
        {
            removed.push(name);
        }
    }
    removed
}

/// Removes `name` if it is a leftover of ours; says whether it did.
pub fn sweep_one(parent: &Dir, name: &CStr) -> bool {
    let Ok(Some(dir)) = lock(parent, name, false) else { return false };
    if !sys::mode(&dir).is_ok_and(|mode| mode & OURS != 0) {
        return false;
    }
    match remove_tree(parent, name, &dir) {
        // With --pid host, or after a change of uid, what the command had started may outlive mydocker.
        Err(e) if e.is(Errno::EBUSY) => end_members(&dir).is_ok() && remove_tree(parent, name, &dir).is_ok(),
        other => other.is_ok(),
    }
}

/// SIGKILL to every process in the group, until none is left: some may be forking.
fn end_members(dir: &Dir) -> Result<()> {
    let mut buffer = [0u8; 4096];
    for _ in 0..100 {
        let pids = dir.read(c"cgroup.procs", &mut buffer)?;
        // The last line may be cut.
        let Some(end) = pids.iter().rposition(|&b| b == b'\n') else { return Ok(()) };
        for pid in text::words(pids.get(..end).unwrap_or_default()).filter_map(|word| text::decimal(word).ok()) {
            // 0 stands for a process outside this PID namespace: it cannot be named from here.
            if pid != 0 {
                sys::kill(sys::Pid(pid as i32), libc::SIGKILL)?;
            }
        }
        sys::nanosleep(1_000_000)?;
    }
    Ok(())
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
