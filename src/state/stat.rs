//! What /proc says of a process of a container.

use crate::bytes;
use crate::error::{Errno, Result};
use crate::sys::{self, AtFlags, Fd, FdRef, Pid};

/// The oldest child of a process, if it has one: proc_pid_task_tid_children(5).
pub fn first_child(parent: Pid) -> Result<Option<(Fd, Pid)>> {
    let pid = bytes::to_decimal(parent.0 as u64);
    let mut buffer = [0; 64];
    let list = sys::read_up_to(None, bytes::c_string(&[b"/proc/", &pid, b"/task/", &pid, b"/children"]), &mut buffer)?;
    let Some(child) = bytes::words(list).next().and_then(|child| bytes::decimal(child).ok()) else { return Ok(None) };
    let child = Pid(child as i32);
    let process = sys::pidfd_if_alive(child)?;
    let stat = stat(child)?;
    let is_alive = stat.is_some_and(|stat| stat.parent == parent && !stat.is_zombie);
    Ok(process.filter(|_| is_alive).map(|process| (process, child)))
}

/// What proc_pid_stat(5) says of a process.
pub(super) struct Stat {
    pid: Pid,
    pub(super) parent: Pid,
    /// When it has started, in ticks.
    pub(super) start: u64,
    /// It has ended, and nobody has asked how.
    pub(super) is_zombie: bool,
    /// It is on its way out.
    pub(super) is_exiting: bool,
    /// It is a copy of its parent that has executed nothing.
    is_copy: bool,
}

/// PF_EXITING of the kernel's sched.h.
const EXITING: u64 = 0x4;
/// PF_FORKNOEXEC. execve(2) clears it before it closes what is CLOEXEC.
const COPY: u64 = 0x40;

/// `None`: there is no such process.
pub(super) fn stat(pid: Pid) -> Result<Option<Stat>> {
    stat_of(&bytes::to_decimal(pid.0 as u64))
}

/// Of a process by its name in /proc.
fn stat_of(process: &[u8]) -> Result<Option<Stat>> {
    let mut buffer = [0; 1024];
    let path = bytes::c_string(&[b"/proc/", process, b"/stat"]);
    match sys::read_up_to(None, path, &mut buffer) {
        Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::ESRCH]) => Ok(None),
        file => file.map(stat_in),
    }
}

/// What such a file says.
fn stat_in(file: &[u8]) -> Option<Stat> {
    let pid = Pid(bytes::decimal(bytes::words(file).next()?).ok()? as i32);
    // The name of the program, in brackets, may hold blanks and brackets.
    let mut fields = bytes::words(file.get(file.iter().rposition(|byte| *byte == b')')? + 1..)?);
    let is_zombie = fields.next()? == b"Z";
    let mut number = |skipped| bytes::decimal(fields.nth(skipped)?).ok();
    let parent = Pid(number(0)? as i32);
    let flags = number(4)?;
    let (is_exiting, is_copy) = (flags & EXITING != 0, flags & COPY != 0);
    Some(Stat { pid, parent, start: number(12)?, is_zombie, is_exiting, is_copy })
}

/// When a process has started; 0 if that cannot be read.
pub(super) fn start_of(pid: Pid) -> u64 {
    stat(pid).ok().flatten().map_or(0, |stat| stat.start)
}

/// When this process, which is `pid`, has started; 0 if there is no /proc of its PID namespace to say so.
pub(super) fn own_start(pid: Pid) -> Result<u64> {
    Ok(stat_of(b"self")?.filter(|stat| stat.pid == pid).map_or(0, |stat| stat.start))
}

/// The inode of the PID namespace of this process.
pub(super) fn pid_namespace() -> Result<u64> {
    let hint = "it is known by what /proc says of its processes: mount -t proc proc /proc";
    let status = sys::statx(FdRef::CWD, c"/proc/self/ns/pid", AtFlags::NONE);
    status.map(|status| status.inode).map_err(|e| e.hint_for(&[(Errno::ENOENT, hint)]))
}

/// Whether a process is on its way out. The first process of a container waits there until all others have ended.
pub fn is_exiting(pid: Pid) -> Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| stat.is_exiting))
}

/// Whether a child that holds a pipe no more has ended before it executed anything. A process gives up its memory before it closes
/// its files (do_exit of the kernel), so that one with a program in its memory has closed the pipe by execve(2).
pub fn has_ended_as_copy(pid: Pid) -> bool {
    let program = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/exe"]);
    // Where /proc does not say it, the command may run.
    sys::readlink(None, program, &mut [0]).is_err() && stat(pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_copy))
}
