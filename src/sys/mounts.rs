//! Mounts, roots, and the files that a root is furnished with.

use super::files::Fd;
use super::flags::{AtFlags, MountFlags, OpenFlags};
use super::gate::{Mode, sys};
use crate::error::{Errno, Error, Result};
use crate::text::{Put, Text};
use core::ffi::CStr;

/// fsopen(2)'s family came with Linux 5.2, openat2(2) with 5.6; mount_setattr(2) with 5.12.
const OPEN_TREE_CLONE: u32 = 1;
/// MOVE_MOUNT_F_EMPTY_PATH and MOVE_MOUNT_T_EMPTY_PATH: both ends are descriptors.
const MOVE_BY_DESCRIPTORS: u32 = 0x4 | 0x40;
const MOUNT_ATTR_RDONLY: u64 = 1;
const RESOLVE_NO_MAGICLINKS: u64 = 2;

/// open_tree(2): a copy of the mount at `path` and of those below it, attached nowhere.
pub fn open_tree(path: &CStr) -> Result<Fd> {
    let flags = OPEN_TREE_CLONE | AtFlags::RECURSIVE.bits() as u32 | OpenFlags::CLOEXEC.bits() as u32;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(open_tree(libc::AT_FDCWD, path, flags)) }.on(None, path).map(Fd::own)
}

/// move_mount(2) of what `open_tree` gave, onto what `openat2` gave; `path` names the latter in messages.
pub fn move_mount(tree: &Fd, target: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(move_mount(tree.raw(), c"", target.raw(), c"", MOVE_BY_DESCRIPTORS)) }.on(None, path).map(drop)
}

/// mount_setattr(2): the mount that `tree` is the root of, and all below it, become read-only, whatever else they are.
pub fn make_read_only(tree: &Fd, path: &CStr) -> Result<()> {
    // struct mount_attr: what to set, what to clear, propagation, user namespace
    let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let (flags, size) = (AtFlags::EMPTY_PATH | AtFlags::RECURSIVE, size_of_val(&attributes));
    // SAFETY: the kernel reads one struct mount_attr of the size that is passed
    unsafe { sys!(mount_setattr(tree.raw(), c"", flags, attributes.as_ptr(), size)) }.on(None, path).map(drop)
}

/// pivot_root(2) of the working directory onto itself: it becomes the root, and the old one lies on top of it.
pub fn pivot_root() -> Result<()> {
    // SAFETY: literals, NUL-terminated
    unsafe { sys!(pivot_root(c".", c".")) }.of(b"").map(drop)
}

/// chroot(2) into the working directory.
pub fn chroot() -> Result<()> {
    // SAFETY: a literal, NUL-terminated
    unsafe { sys!(chroot(c".")) }.of(b"").map(drop)
}

/// umount2(2) MNT_DETACH: out of the tree now, gone when nobody is in it.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(umount2(path, libc::MNT_DETACH)) }.on(None, path).map(drop)
}

/// openat2(2) below the process's root. A magic link of /proc, which leads to wherever a descriptor does, is ELOOP.
pub fn openat2(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    // struct open_how: flags, mode, how to resolve
    let how = [(flags | OpenFlags::CLOEXEC).bits(), 0, RESOLVE_NO_MAGICLINKS];
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the struct has the size that is passed
    unsafe { sys!(openat2(libc::AT_FDCWD, path, how.as_ptr(), size_of_val(&how))) }.on(None, path).map(Fd::own)
}

/// Puts the name of an open file for calls that take only a path; it needs a /proc.
fn put_name(fd: &Fd, name: &mut Text<32>) {
    name.put(b"/proc/self/fd/");
    name.put_decimal(fd.raw() as u64);
    name.put(b"\0");
}

/// mount(2) onto an open file or directory, through its name in /proc.
pub fn mount_on(source: &CStr, target: &Fd, fstype: &CStr, flags: MountFlags, data: Option<&CStr>) -> Result<()> {
    let mut name = Text::<32>::new();
    put_name(target, &mut name);
    super::mount(source, name.as_c_str().unwrap_or_default(), fstype, flags, data)
}

/// mkdirat(2), from the working directory or below `dir`.
pub fn mkdir(dir: Option<&Fd>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(mkdirat(at(dir), path, Mode(mode))) }.on(None, path).map(drop)
}

/// mknodat(2): a device, or with no number and S_IFREG an empty file.
pub fn mknod(dir: Option<&Fd>, path: &CStr, mode: u32, device: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(mknodat(at(dir), path, Mode(mode), device)) }.on(None, path).map(drop)
}

/// symlinkat(2).
pub fn symlink(to: &CStr, path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(symlinkat(to, libc::AT_FDCWD, path)) }.on(None, path).map(drop)
}

/// unlinkat(2) of what has been made below `dir`: a directory or else a file.
pub fn unmake(dir: &Fd, name: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let unlinkat = |flags: AtFlags| unsafe { sys!(unlinkat(dir.raw(), name, flags)) }.on(None, name).map(drop);
    match unlinkat(AtFlags::REMOVEDIR) {
        Err(e) if e.is(Errno::ENOTDIR) => unlinkat(AtFlags::NONE),
        other => other,
    }
}

fn at(dir: Option<&Fd>) -> i32 {
    dir.map_or(libc::AT_FDCWD, Fd::raw)
}

/// What statx(2) says of a file.
#[derive(Clone, Copy)]
pub struct Status {
    /// Type and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Status {
    /// S_IFDIR, S_IFREG ...
    pub fn kind(self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

/// statx(2) of an open file, or of `path`; a symbolic link itself, with `follow` what it leads to.
pub fn statx(fd: Option<&Fd>, path: &CStr, follow: bool) -> Result<Status> {
    let mut status = core::mem::MaybeUninit::<libc::statx>::uninit();
    let flags = AtFlags::EMPTY_PATH | if follow { AtFlags::NONE } else { AtFlags::SYMLINK_NOFOLLOW };
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statx
    unsafe { sys!(statx(at(fd), path, flags, libc::STATX_BASIC_STATS, status.as_mut_ptr())) }.on(None, path)?;
    // SAFETY: it has, for the call worked
    let status = unsafe { status.assume_init() };
    Ok(Status { mode: u32::from(status.stx_mode), uid: status.stx_uid, gid: status.stx_gid })
}

/// fchownat(2).
pub fn chown(path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(fchownat(libc::AT_FDCWD, path, uid, gid, 0)) }.on(None, path).map(drop)
}

/// fstatfs(2): whether an open file lies on a filesystem of /proc's kind.
pub fn is_on_proc(fd: &Fd) -> Result<bool> {
    // struct statfs: the type comes first; 120 bytes
    let mut status = [0u64; 16];
    // SAFETY: the kernel fills one struct statfs, which is smaller than the array
    unsafe { sys!(fstatfs(fd.raw(), status.as_mut_ptr())) }.of(b"")?;
    Ok(status[0] == libc::PROC_SUPER_MAGIC as u64)
}

/// fchdir(2).
pub fn fchdir(fd: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(fchdir(fd.raw())) }.on(None, path).map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: a number; it cannot fail
    let _ = unsafe { sys!(umask(Mode(mask))) };
}

/// readlinkat(2) of a descriptor's name in /proc: where a directory lies, seen from the process's root.
pub fn path_of(fd: &Fd) -> Result<::alloc::vec::Vec<u8>> {
    let mut name = Text::<32>::new();
    put_name(fd, &mut name);
    let mut path = ::alloc::vec![0u8; libc::PATH_MAX as usize];
    let name = name.as_c_str().unwrap_or_default();
    // SAFETY: the pointer and the length are of one buffer that is ours to write
    let n = unsafe { sys!(readlinkat(libc::AT_FDCWD, name, path.as_mut_ptr(), path.len())) }.on(None, name)?;
    path.truncate(n);
    Ok(path)
}

/// openat(2) of a path on the host.
pub fn open(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    super::files::openat(None, path, flags)
}

/// uname(2): the host's name.
pub fn hostname() -> ::alloc::vec::Vec<u8> {
    uname(1)
}

/// uname(2): one of its strings; 0 the system, 1 the host's name, 2 the release, 3 the build, 4 the machine.
pub fn uname(which: usize) -> ::alloc::vec::Vec<u8> {
    // struct new_utsname: six strings of 65 bytes
    let mut names = [0u8; 65 * 6];
    // SAFETY: the kernel fills one struct new_utsname
    let _ = unsafe { sys!(uname(names.as_mut_ptr())) };
    let name = names.get(65 * which..).unwrap_or_default();
    name.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

/// openat(2) with O_CREAT and O_EXCL, and write(2): a small file, whole.
pub fn create(path: &CStr, content: &[u8]) -> Result<()> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::CLOEXEC;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let file = unsafe { sys!(openat(libc::AT_FDCWD, path, flags, Mode(0o644))) }.on(None, path).map(Fd::own)?;
    super::write_all(file.raw(), content).map_err(|e: Error| e.about(path.to_bytes()))
}

/// pread64(2): what is in a file from `offset` on; 0 past its end.
pub fn read_at(file: &Fd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    // SAFETY: the pointer and the length are of one slice that is ours to write
    unsafe { sys!(pread64(file.raw(), buffer.as_mut_ptr(), buffer.len(), offset)) }.of(b"")
}
