//! What a process may do, and what it sees of the rest: prctl(2), capset(2), seccomp(2), unshare(2), mount_setattr(2).

use super::flags::{CloneFlags, MountFlags, Prctl};
use super::gate::sys;
use crate::error::{Errno, Result};
use core::ffi::CStr;

/// prctl(2) PR_CAPBSET_DROP: no program that this process or its children execute will have the capability `number`.
/// `Ok(false)`: this kernel knows none of that number.
pub fn drop_from_bounding_set(number: u32) -> Result<bool> {
    // SAFETY: numbers only
    match unsafe { sys!(prctl(Prctl::CAPBSET_DROP, number)) }.of(b"PR_CAPBSET_DROP") {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::EINVAL) => Ok(false),
        Err(e) => Err(e),
    }
}

/// capset(2) of this thread: `effective` and permitted are these, inheritable and with it ambient are empty.
pub fn capset(effective: u64) -> Result<()> {
    /// _LINUX_CAPABILITY_VERSION_3: two sets of three words, the lower half of each first.
    const VERSION: u32 = 0x2008_0522;
    let (low, high) = (effective as u32, (effective >> 32) as u32);
    let header = [VERSION, 0];
    let sets = [[low, low, 0], [high, high, 0]];
    // SAFETY: a header of two words, and two structs of three, as this version has it
    unsafe { sys!(capset(header.as_ptr(), sets.as_ptr())) }.of(b"").map(drop)
}

/// prctl(2) PR_SET_NO_NEW_PRIVS: execve gives nothing more, from here on and for all children.
pub fn set_no_new_privs() -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(prctl(Prctl::SET_NO_NEW_PRIVS, 1, 0, 0, 0)) }.of(b"PR_SET_NO_NEW_PRIVS").map(drop)
}

/// prctl(2) PR_GET_NO_NEW_PRIVS.
pub fn no_new_privs() -> bool {
    // SAFETY: numbers only
    unsafe { sys!(prctl(Prctl::GET_NO_NEW_PRIVS, 0, 0, 0, 0)) }.ok() == Some(1)
}

/// prctl(2) PR_SET_DUMPABLE 0: what /proc/PID has of this process is for those only who may trace it.
pub fn hide_from_proc() -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(prctl(Prctl::SET_DUMPABLE, 0)) }.of(b"PR_SET_DUMPABLE").map(drop)
}

/// seccomp(2) SECCOMP_SET_MODE_FILTER with instructions of eight bytes each. The filter itself keeps nothing secret: the
/// mitigations that some kernels would switch on with it (before Linux 5.16) are not asked for.
pub fn load_filter(instructions: &[u8]) -> Result<()> {
    let program =
        libc::sock_fprog { len: (instructions.len() / 8) as u16, filter: instructions.as_ptr().cast_mut().cast() };
    let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32);
    // SAFETY: the kernel reads one struct sock_fprog and the instructions that it names
    unsafe { sys!(seccomp(operation, flags, &raw const program)) }.of(b"SECCOMP_SET_MODE_FILTER").map(drop)
}

/// geteuid(2) and getegid(2).
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: neither takes anything, and neither can fail
    let (uid, gid) = unsafe { (sys!(geteuid()), sys!(getegid())) };
    (uid.ok().unwrap_or_default() as u32, gid.ok().unwrap_or_default() as u32)
}

/// unshare(2).
pub fn unshare(flags: CloneFlags) -> Result<()> {
    let what = flags.names();
    // SAFETY: numbers only
    unsafe { sys!(unshare(flags)) }.of(what.as_bytes()).map(drop)
}

/// mount_setattr(2) MOUNT_ATTR_RDONLY, with `below` of every mount in the tree there. `Ok(false)`: this kernel is older than
/// 5.12.
pub fn mount_read_only(point: &CStr, below: bool) -> Result<bool> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    const AT_RECURSIVE: i32 = 0x8000;
    // struct mount_attr: to set, to clear, propagation, user namespace
    let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let flags = if below { AT_RECURSIVE } else { 0 };
    // SAFETY: a &CStr is NUL-terminated and outlives the call; struct mount_attr with its size
    match unsafe { sys!(mount_setattr(libc::AT_FDCWD, point, flags, attributes.as_ptr(), size_of_val(&attributes))) }
        .on(None, point)
    {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::ENOSYS) => Ok(false),
        Err(e) => Err(e),
    }
}

/// statfs(2): whether `path` is in a cgroup filesystem.
pub fn is_cgroup(path: &CStr) -> bool {
    let mut status = core::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statfs
    if unsafe { sys!(statfs(path, status.as_mut_ptr())) }.ok().is_none() {
        return false;
    }
    // SAFETY: it has, for the call worked
    let kind = unsafe { status.assume_init() }.f_type as u32;
    kind == libc::CGROUP_SUPER_MAGIC as u32 || kind == libc::CGROUP2_SUPER_MAGIC as u32
}

/// mount(2) MS_REMOUNT | MS_BIND: this one mount is read-only, and `kept` of its flags are repeated, for what is not named
/// is cleared.
pub fn remount_read_only(point: &CStr, kept: MountFlags) -> Result<()> {
    let flags = MountFlags::REMOUNT | MountFlags::BIND | MountFlags::RDONLY | kept;
    super::mount(c"none", point, c"", flags, None)
}
