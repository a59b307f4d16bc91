//! The directory of a group: created and locked, removed at the end; and the sweep for what killed runs have left.

use super::{PREFIX, Version};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::sys::{self, Dir, OpenFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// The sticky bit marks mydocker's directories, so that a sweep leaves alone those of other programs with the same prefix. It
/// has no meaning for a cgroup.
const OURS: u32 = libc::S_ISVTX;

/// v1: the file of the freezer.
pub const FREEZER_STATE: &CStr = c"freezer.state";
/// v1: what is written to it so that the group goes on.
pub const THAWED: &[u8] = b"THAWED";

/// Why nothing can be made in a cgroup.
pub fn explain(error: Error, version: Version) -> Error {
    if error.is_one_of(&[Errno::EACCES, Errno::EPERM]) {
        error.with_hint(match version {
            Version::V1 => {
                "making a cgroup needs root, or one on which root has called chown for you: \
                 --cgroup-parent names it, mydocker help limits"
            }
            Version::V2 => {
                "making a cgroup needs root, or one that is delegated to you: \
                 systemd-run --user --scope -p Delegate=yes mydocker run .."
            }
        })
    } else if error.is(Errno::EROFS) {
        error.with_hint("the cgroup filesystem is mounted read-only")
    } else {
        error
    }
}

/// Creates the directory `name` in `parent`, and locks it: a directory of mydocker's that is not locked is a leftover. A
/// leftover of the same name is removed first, because it has the limits of another run.
pub fn create(parent: &Dir, name: &CStr, version: Version) -> Result<Dir> {
    // Only sweeps, and other runs of this name, can get in the way, each for a moment.
    for _ in 0..100 {
        // As long as it is not locked nobody else may open it: whoever holds a lock on it would keep this run waiting.
        match parent.mkdirat(name, OURS | 0o700) {
            Ok(()) => match lock(parent, name).and_then(show) {
                Ok(Some(dir)) => return Ok(dir),
                // A sweeper came between mkdir and flock: it removes it.
                Ok(None) => {}
                Err(e) => {
                    return match parent.rmdir(name) {
                        // The first failure is the one to report.
                        Ok(()) | Err(_) => Err(e),
                    };
                }
            },
            Err(e) if e.is(Errno::EEXIST) => remove_leftover(parent, name)?,
            Err(e) => return Err(explain(e, version)),
        }
    }
    Err(refused("cgroup", parent, name, "another process removes it as soon as it is created"))
}

/// What is in the way of the directory `name` in `parent`.
fn refused(says: &'static str, parent: &Dir, name: &CStr, hint: &'static str) -> Error {
    Error::refused(says, &[parent.path, b"/", name.to_bytes()].concat(), hint)
}

/// Once it is locked, everybody may look into it.
fn show(dir: Option<Dir>) -> Result<Option<Dir>> {
    if let Some(dir) = &dir {
        sys::fchmod(dir.fd(), OURS | 0o755).map_err(|e| e.about(dir.path))?;
    }
    Ok(dir)
}

/// Removes a leftover that has the wanted name; if it is not a leftover, the name is taken.
fn remove_leftover(parent: &Dir, name: &CStr) -> Result<()> {
    let mut pause = 1_000_000;
    // A quarter of a second in all.
    for _ in 0..8 {
        match lock(parent, name)? {
            Some(dir) => return end_and_remove(parent, name, &dir),
            // Removed meanwhile, or locked: by a sweep, which may take long on a busy host, or by another run as long as it
            // runs.
            None => sys::nanosleep(pause)?,
        }
        pause *= 2;
        if !parent.has(name)? {
            return Ok(());
        }
    }
    Err(refused(
        "a container of this name is already running:",
        parent,
        name,
        "choose another --name; another --state may have its record",
    ))
}

/// Opens and locks a directory. `None`: it has been removed, perhaps between the two calls; or another process holds the lock.
/// This never waits: a run makes its groups with its signals blocked.
fn lock(parent: &Dir, name: &CStr) -> Result<Option<Dir>> {
    let dir = match Dir::open(Some(parent), name) {
        Ok(dir) => dir,
        Err(e) if e.is(Errno::ENOENT) => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok((sys::flock(&dir)? && still_exists(&dir)?).then_some(dir))
}

/// Whether a directory that is open still exists: one that has been removed has no files.
fn still_exists(dir: &Dir) -> Result<bool> {
    dir.has(c"cgroup.procs")
}

/// Removes the directory, with the groups that the container may have created in it. As long as the kernel is still ending
/// the last process it says EBUSY: eleven attempts, with a pause of 1 ms that doubles.
pub fn remove(parent: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    let mut pause = 1_000_000;
    for _ in 0..10 {
        match remove_tree(parent, name, dir) {
            Ok(()) => return Ok(()),
            // Another process has removed it. Any other error may be gone after a pause, as EBUSY is.
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

/// Looks for what killed runs have left in `parent`: directories of mydocker's whose lock can be taken. `turn` differs from run
/// to run, so that every directory is looked at sooner or later, and no run reads all of a large folder. Errors are ignored,
/// because this run does not depend on it. Returns the names of these directories.
pub fn leftovers(parent: &Dir, own: &CStr, turn: usize) -> Vec<&'static CStr> {
    let names = sys::some_directory_names(parent, PREFIX, turn).unwrap_or_default();
    let mut leftovers = Vec::new();
    for at in 0..names.len().min(SWEEP_AT_MOST) {
        if let Some(&name) = names.get(turn.wrapping_add(at) % names.len())
            && name != own
            && leftover(parent, name).is_some()
        {
            leftovers.push(name);
        }
    }
    leftovers
}

/// The directory `name`, locked, if it is a leftover of ours.
fn leftover(parent: &Dir, name: &CStr) -> Option<Dir> {
    let dir = lock(parent, name).ok()??;
    sys::statx_fd(dir.fd()).is_ok_and(|status| status.mode & OURS != 0).then_some(dir)
}

/// Removes `name` if it is a leftover of ours.
pub fn sweep(parent: &Dir, name: &CStr) {
    if let Some(dir) = leftover(parent, name) {
        // Whoever fails here leaves it to the next one.
        let _ = end_and_remove(parent, name, &dir);
    }
}

/// Ends what is in `name`, and removes it, if it is a leftover of ours. Returns whether there was a process.
pub fn end_leftover(parent: &Dir, name: &CStr) -> Result<bool> {
    let Some(dir) = leftover(parent, name) else { return Ok(false) };
    let had_members = !dir.read(c"cgroup.procs", &mut [0; 8])?.is_empty();
    end_members(&dir).and_then(|()| remove(parent, name, &dir)).map(|()| had_members)
}

/// Removes a directory. With --pid host, or after a change of uid, processes of the container may outlive mydocker.
fn end_and_remove(parent: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    match remove_tree(parent, name, dir) {
        Err(e) if e.is(Errno::EBUSY) => end_members(dir).and_then(|()| remove_tree(parent, name, dir)),
        other => other,
    }
}

/// SIGKILL to every process in the group, and in those that it has made below, and again as long as any is left, since some may be
/// forking; a hundred times at most: one may be in uninterruptible sleep, or outside this PID namespace. What is left is no failure:
/// rmdir(2) says EBUSY.
pub fn end_members(dir: &Dir) -> Result<()> {
    for _ in 0..100 {
        if !kill_members(dir)? {
            return Ok(());
        }
        sys::nanosleep(1_000_000)?;
    }
    Ok(())
}

/// Returns whether there was any.
fn kill_members(dir: &Dir) -> Result<bool> {
    let mut buffer = [0u8; 4096];
    // v2, from Linux 5.14 on: all that is below, at once. The file can be written to, and not read. Where it is missing, or refuses that,
    // each one is killed by itself.
    let kill_all = || sys::write_all(dir.open_plain(c"cgroup.kill", OpenFlags::WRONLY)?.borrow(), b"1");
    if dir.has(c"cgroup.kill")? && kill_all().is_ok() {
        return Ok(bytes::field(dir.read(c"cgroup.events", &mut buffer)?, b"populated") == Some(b"1"));
    }
    // v1: SIGKILL does not reach what is frozen.
    if dir.has(FREEZER_STATE)? {
        dir.write(FREEZER_STATE, THAWED)?;
    }
    let pids = dir.read(c"cgroup.procs", &mut buffer)?;
    // The last line may be cut.
    let end = pids.iter().rposition(|&b| b == b'\n');
    for word in bytes::words(end.and_then(|end| pids.get(..end)).unwrap_or_default()) {
        match bytes::decimal(word) {
            // 0 stands for a process outside this PID namespace: it cannot be named from here.
            Ok(0) | Err(_) => {}
            Ok(pid) => sys::kill(sys::Pid(pid as i32), libc::SIGKILL)?,
        }
    }
    let mut any = end.is_some();
    // That one is closed before the next is opened.
    let below = Dir::open(Some(dir), c".").and_then(|dir| sys::directory_names(&dir, b""))?;
    for below in below {
        any |= match Dir::open(Some(dir), below).and_then(|below| kill_members(&below)) {
            // It has been removed meanwhile.
            Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::ENODEV]) => false,
            found => found?,
        };
    }
    Ok(any)
}

/// The memory counters of a group when its container has ended.
pub struct Memory {
    /// How many processes the kernel has killed because memory ran out.
    pub kills: u64,
    /// The most that was in use, in bytes, where the kernel tells.
    pub peak: Option<u64>,
}

/// Reads the counters; the peak only if there is something to report.
pub fn memory(dir: &Dir, version: Version) -> Option<Memory> {
    let (events, peak) = match version {
        Version::V1 => (c"memory.oom_control", c"memory.max_usage_in_bytes"),
        Version::V2 => (c"memory.events", c"memory.peak"),
    };
    let mut buffer = [0u8; 512];
    let kills = bytes::decimal(bytes::field(dir.read(events, &mut buffer).ok()?, b"oom_kill")?).ok()?;
    let peak = match kills {
        0 => None,
        _ => dir.read(peak, &mut buffer).ok().and_then(|peak| bytes::decimal(peak.trim_ascii()).ok()),
    };
    Some(Memory { kills, peak })
}
