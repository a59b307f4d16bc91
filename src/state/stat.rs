//! What /proc says of a process of a container.

use crate::bytes;
use crate::error::{Errno, Result};
use crate::sys::{self, Fd, Pid};

/// The oldest child of a process, if it has one: proc_pid_task_tid_children(5).
pub fn first_child(parent: Pid) -> Result<Option<Fd>> {
    let pid = bytes::to_decimal(parent.0 as u64);
    let mut buffer = [0; 64];
    let list = sys::read_up_to(None, bytes::c_string(&[b"/proc/", &pid, b"/task/", &pid, b"/children"]), &mut buffer)?;
    let Some(child) = bytes::words(list).next().and_then(|child| bytes::decimal(child).ok()) else { return Ok(None) };
    let child = Pid(child as i32);
    let process = sys::pidfd_if_alive(child)?;
    let stat = stat(child)?;
    Ok(process.filter(|_| stat.is_some_and(|stat| stat.parent == parent && !stat.is_zombie)))
}

/// What proc_pid_stat(5) says of a process.
pub(super) struct Stat {
    pub(super) parent: Pid,
    /// When it has started, in ticks.
    pub(super) start: u64,
    /// It has ended, and nobody has asked how.
    pub(super) is_zombie: bool,
    /// It is on its way out.
    pub(super) is_exiting: bool,
}

/// PF_EXITING of the kernel's sched.h.
const EXITING: u64 = 0x4;

/// `None`: there is no such process.
pub(super) fn stat(pid: Pid) -> Result<Option<Stat>> {
    let mut buffer = [0; 1024];
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/stat"]);
    match sys::read_up_to(None, path, &mut buffer) {
        Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::ESRCH]) => Ok(None),
        file => file.map(stat_in),
    }
}

/// What such a file says.
fn stat_in(file: &[u8]) -> Option<Stat> {
    // The name of the program, in brackets, may hold blanks and brackets.
    let mut fields = bytes::words(file.get(file.iter().rposition(|byte| *byte == b')')? + 1..)?);
    let is_zombie = fields.next()? == b"Z";
    let mut number = |skipped| bytes::decimal(fields.nth(skipped)?).ok();
    let parent = Pid(number(0)? as i32);
    let is_exiting = number(4)? & EXITING != 0;
    Some(Stat { parent, start: number(12)?, is_zombie, is_exiting })
}

/// When a process has started; 0 if that cannot be read.
pub(super) fn start_of(pid: Pid) -> u64 {
    stat(pid).ok().flatten().map_or(0, |stat| stat.start)
}

/// Whether a process is on its way out. The first process of a container waits there until all others have ended.
pub fn is_exiting(pid: Pid) -> Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| stat.is_exiting))
}
