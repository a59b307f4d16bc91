//! Who a process is, and what it may use: credentials(7), getrlimit(2).

use super::files::Fd;
use super::gate::sys;
use crate::error::Result;

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the length and the pointer are of one slice
    unsafe { sys!(setgroups(groups.len(), groups.as_ptr())) }.of(b"").map(drop)
}

/// setgid(2): all of them.
pub fn setgid(gid: u32) -> Result<()> {
    // SAFETY: a number
    unsafe { sys!(setgid(gid)) }.of(b"").map(drop)
}

/// setuid(2): all of them.
pub fn setuid(uid: u32) -> Result<()> {
    // SAFETY: a number
    unsafe { sys!(setuid(uid)) }.of(b"").map(drop)
}

/// fchown(2) of an open file to a user, its group as it is.
pub fn give_to(fd: &Fd, uid: u32) -> Result<()> {
    // SAFETY: numbers only; -1 keeps the group
    unsafe { sys!(fchown(fd.raw(), uid, -1)) }.of(b"").map(drop)
}

/// prlimit64(2) of the process itself. `name` is for messages.
pub fn set_limit(resource: u32, soft: u64, hard: u64, name: &[u8]) -> Result<()> {
    let limits = [soft, hard];
    // SAFETY: the kernel reads one struct rlimit64, and writes none
    unsafe { sys!(prlimit64(0, resource, limits.as_ptr(), 0usize)) }.of(name).map(drop)
}
