//! What the kernel says of a file, and of the filesystem that it is on: statx(2), statfs(2), faccessat(2).

use super::fd::{Fd, FdRef};
use super::flags::{Access, AtFlags, StatxMask};
use super::gate::About::Path;
use super::gate::{Object, call};
use crate::error::{Errno, Result};
use core::ffi::CStr;

/// The number of a device, as mknod(2) takes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Device(pub(super) u32);

impl Device {
    /// No device.
    pub const NONE: Self = Device(0);
    /// The device that everything written to vanishes in.
    pub const NULL: Self = Device::new(1, 3);

    /// The lower 8 bits of the minor number stand below the 12 of the major number, the rest above: `new_encode_dev` of the kernel.
    pub const fn new(major: u32, minor: u32) -> Device {
        Device((minor & !0xff) << 12 | major << 8 | minor & 0xff)
    }

    /// Major and minor number.
    pub const fn parts(number: u32) -> (u32, u32) {
        (number >> 8 & 0xfff, number >> 12 & !0xff | number & 0xff)
    }
}

/// Which file it is: the device that it is on, and its number there.
pub type Identity = ((u32, u32), u64);

/// The fields of statx(2) that mydocker uses.
#[derive(Clone, Copy)]
pub struct Status {
    /// Type and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// The device that it is on, and its number there.
    pub device: (u32, u32),
    /// See `device`.
    pub inode: u64,
    /// The device that it is a node of.
    pub rdev: Device,
    /// The id that mountinfo has for the mount that it is in; 0 before Linux 5.8, which does not tell.
    pub mount: u64,
}

impl Status {
    /// Which file it is.
    pub fn identity(&self) -> Identity {
        (self.device, self.inode)
    }

    /// S_IFDIR, S_IFREG ...
    pub fn kind(self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

impl Object for libc::statx {}

/// struct statfs of 64-bit architectures: its type, the size of a block, how many there are, how many of them are free, ...
#[repr(C)]
struct StatFs([u64; 15]);

impl Object for StatFs {}

/// statx(2) of an open file.
pub fn statx_fd(fd: FdRef) -> Result<Status> {
    statx(fd, c"", AtFlags::EMPTY_PATH)
}

/// statx(2) of `path`, from `dir` on.
pub fn statx(dir: FdRef, path: &CStr, flags: AtFlags) -> Result<Status> {
    // SAFETY: it is a structure of numbers, for which zeros are a value
    let mut status: libc::statx = unsafe { core::mem::zeroed() };
    let mask = StatxMask::BASIC_STATS | StatxMask::MNT_ID;
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statx
    unsafe { call!(statx(dir, path, flags, mask, &mut status)) }.about(Path(path))?;
    Ok(Status {
        mode: u32::from(status.stx_mode),
        uid: status.stx_uid,
        gid: status.stx_gid,
        size: status.stx_size,
        links: status.stx_nlink,
        device: (status.stx_dev_major, status.stx_dev_minor),
        inode: status.stx_ino,
        rdev: Device(status.stx_rdev_major << 8 | status.stx_rdev_minor),
        mount: status.stx_mnt_id,
    })
}

/// A place in the mounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which file is there.
    pub file: Identity,
    /// The mount that it is in; 0 where nobody can tell: before Linux 5.8 the kernel does not.
    pub mount: u64,
}

impl Place {
    /// Whether it is the one that was noted, by its file alone if nobody knew the mount.
    pub fn is_noted(&self, noted: &Place) -> bool {
        self.file == noted.file && (noted.mount == 0 || self.mount == noted.mount)
    }
}

/// statx(2): where an open file is.
pub fn place_of(fd: &Fd) -> Result<Place> {
    place(fd.borrow(), c"", AtFlags::EMPTY_PATH)
}

/// statx(2): where the root of this process is.
pub fn place_of_root() -> Result<Place> {
    place(FdRef::CWD, c"/", AtFlags::NONE)
}

fn place(fd: FdRef, path: &CStr, flags: AtFlags) -> Result<Place> {
    statx(fd, path, flags).map(|status| Place { file: status.identity(), mount: status.mount })
}

/// statx(2): the id that mountinfo has for the mount that an open file is in; `path` names it in messages.
pub fn mount_id(fd: &Fd, path: &CStr) -> Result<u64> {
    statx_fd(fd.borrow()).map(|status| status.mount).map_err(|e| e.about(path.to_bytes()))
}

/// The same for the mount that `path` leads to without a link.
pub fn mount_id_at(path: &CStr) -> Result<u64> {
    statx(FdRef::CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|status| status.mount)
}

/// The types of filesystems, of <linux/magic.h>.
pub mod magic {
    /// proc(5).
    pub const PROC: u64 = 0x9fa0;
    /// cgroups(7), v1 and v2.
    pub const CGROUPS: [u64; 2] = [0x27_e0eb, 0x6367_7270];
    /// That of pipe(2).
    pub const PIPEFS: u64 = 0x5049_5045;
}

/// fstatfs(2): the type of the filesystem that an open file is on: see [`magic`].
pub fn filesystem(fd: FdRef) -> Result<u64> {
    let mut status = StatFs([0; 15]);
    // SAFETY: the kernel fills one struct statfs
    unsafe { call!(fstatfs(fd, &mut status)) }.result()?;
    Ok(status.0[0])
}

/// fstatfs(2): how many bytes the filesystem of an open file has, and how many of them are free.
pub fn space(fd: &Fd) -> Result<(u64, u64)> {
    let mut status = StatFs([0; 15]);
    // SAFETY: the kernel fills one struct statfs
    unsafe { call!(fstatfs(fd.borrow(), &mut status)) }.result()?;
    let [_, size, blocks, free, ..] = status.0;
    Ok((blocks * size, free * size))
}

/// fstatfs(2): whether a descriptor is one of pipe(2). A FIFO with a name, or a descriptor that is not open, is not.
pub fn is_pipe(fd: FdRef) -> Result<bool> {
    match filesystem(fd) {
        Err(e) if e.is(Errno::EBADF) => Ok(false),
        found => Ok(found? == magic::PIPEFS),
    }
}

/// statfs(2): whether `path` is in a cgroup filesystem.
pub fn is_cgroup(path: &CStr) -> bool {
    let mut status = StatFs([0; 15]);
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statfs
    unsafe { call!(statfs(path, &mut status)) }.ok().is_some() && magic::CGROUPS.contains(&status.0[0])
}

/// faccessat(2): whether there is something at `path`.
pub fn exists(path: &CStr) -> bool {
    has_access(path, Access::F_OK)
}

/// faccessat(2): whether `path` may be executed.
pub fn is_executable(path: &CStr) -> bool {
    has_access(path, Access::X_OK)
}

/// faccessat(2): whether this process has this access to `path`.
pub fn has_access(path: &CStr, access: Access) -> bool {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(faccessat(FdRef::CWD, path, access)) }.ok().is_some()
}
