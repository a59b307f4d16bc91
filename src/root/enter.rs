//! From the host's root into its own.

use super::STAGE;
use super::create::{DIRECTORY, create_missing};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::mountinfo;
use crate::step::{Child, ChildStep};
use crate::sys::{self, Fd, MountAttr, MountFlags, OpenFlags};
use core::ffi::CStr;

step! {
    /// Lets mounts come in from the host, and none go out.
    ///
    /// Slave, not private: a private copy would keep the device of a filesystem busy that the host unmounts.
    pub struct MakeMountsSlave;
}

impl ChildStep for MakeMountsSlave {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        make_mounts_slave()
    }
}

fn make_mounts_slave() -> Result<()> {
    sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)
}

step! {
    /// Sets the umask.
    pub struct SetUmask {
        /// The bits that new files do not get.
        pub mask: u32,
    }
}

impl ChildStep for SetUmask {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::umask(self.mask);
        Ok(())
    }
}

step! {
    /// Binds the root where it can become the root: pivot_root wants a mount point.
    pub struct BindRoot {
        /// The directory.
        pub path: &'static CStr,
    }
}

impl ChildStep for BindRoot {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::mount(self.path, STAGE, c"", MountFlags::BIND | MountFlags::REC, None)
            .map_err(|e| e.about(self.path.to_bytes()))
    }
}

step! {
    /// Makes the root read-only, with all that is mounted below it.
    ///
    /// This does not reach what is mounted later.
    pub struct MakeRootReadOnly {
        /// Where it is.
        pub path: &'static CStr,
    }
}

impl ChildStep for MakeRootReadOnly {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let mount = sys::open(self.path, OpenFlags::PATH)?;
        sys::mount_setattr(&mount, MountAttr::RDONLY, self.path)
    }
}

step! {
    /// Lets no device node in the root be opened, nor in what is mounted below it.
    ///
    /// Whoever made the root may have put a node of the host's disk into it. Those of the container's own /dev come later.
    pub struct ForbidDevices;
}

impl ChildStep for ForbidDevices {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        restrict(&sys::open(c"/", OpenFlags::PATH)?, c"/", MountAttr::NODEV)
    }
}

/// Adds `attributes` to the mount whose root is `tree`, at `path` in the container, and to all below it.
pub fn restrict(tree: &Fd, path: &CStr, attributes: MountAttr) -> Result<()> {
    match sys::mount_setattr(tree, attributes, path) {
        Err(e) if e.is(Errno::ENOSYS) => restrict_one_by_one(path.to_bytes(), attributes).unwrap_or(Err(e)),
        other => other,
    }
}

/// The same before Linux 5.12: each mount by itself, as the container's /proc lists them. `None`: it has no /proc yet.
fn restrict_one_by_one(path: &[u8], attributes: MountAttr) -> Option<Result<()>> {
    let mountinfo = sys::read_file(c"/proc/self/mountinfo").ok()?;
    let mut rest = mountinfo.as_slice();
    while let Some(mount) = mountinfo::next(&mut rest) {
        let point = mountinfo::unescape(mount.point);
        if bytes::below(point.to_bytes(), path).is_none() {
            continue;
        }
        let mut flags = MountFlags::of_options(mount.options);
        if attributes.has(MountAttr::NODEV) {
            flags = flags | MountFlags::NODEV;
        }
        if attributes.has(MountAttr::RDONLY) || bytes::has_part(mount.options, b',', b"ro") {
            flags = flags | MountFlags::RDONLY;
        }
        match sys::remount(point, flags) {
            // Another mount covers it, so that nobody reaches it by its path.
            Err(e) if e.is_one_of(&[Errno::EINVAL, Errno::ENOENT, Errno::ENOTDIR]) => {}
            Err(e) => return Some(Err(e)),
            Ok(()) => {}
        }
    }
    Some(Ok(()))
}

step! {
    /// Makes it the root; the old one is then on top of it.
    pub struct EnterRoot {
        /// Where it has been put together.
        pub path: &'static CStr,
        /// It is in a user namespace.
        pub in_userns: bool,
    }
}

impl ChildStep for EnterRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // Whoever starts mydocker in a chroot has mounts above its root. A root that took the place of that root would have them
        // above it too, and chroot(2) leads there. So this goes to the top first. (In a chroot no user namespace can be made:
        // user_namespaces(7).)
        let place = sys::open(self.path, OpenFlags::PATH | OpenFlags::DIRECTORY)?;
        if !self.in_userns && sys::enter_own_mount_namespace()? {
            make_mounts_slave()?;
        }
        sys::fchdir(&place, self.path)?;
        drop(place);
        match sys::pivot_root() {
            // An initramfs is the one root that cannot be moved away: pivot_root(2). A mount that is moved onto it hides it.
            Err(e) if e.is(Errno::EINVAL) => {
                sys::mount(c".", c"/", c"", MountFlags::MOVE, None)?;
                sys::chroot()
            }
            other => {
                child.old_root_on_top = other.is_ok();
                other
            }
        }
    }
}

step! {
    /// Detaches the old root.
    ///
    /// In a user namespace a new /proc and /sys can be mounted only as long as others can be seen (mount_namespaces(7)): there
    /// they come first.
    pub struct LeaveOldRoot;
}

impl ChildStep for LeaveOldRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        if child.old_root_on_top { sys::detach(c".") } else { Ok(()) }
    }
}

/// Where the container's own filesystems are mounted.
const OWN: [&CStr; 3] = [c"/proc", c"/sys", c"/dev"];

step! {
    /// Makes sure that /proc, /sys and /dev are directories.
    ///
    /// In a root whose `/dev` is a link they would be mounted elsewhere.
    pub struct CheckRoot;
}

impl ChildStep for CheckRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let mut missing = [false; OWN.len()];
        for (path, missing) in OWN.iter().zip(&mut missing) {
            match sys::statx(path, false) {
                Ok(status) if status.kind() == libc::S_IFDIR => {}
                Ok(_) => {
                    let hint = "it is a link or a file, and must be a directory";
                    return Err(Error::refused("the root has no", &[path.to_bytes()], hint));
                }
                Err(e) if e.is(Errno::ENOENT) => *missing = true,
                Err(e) => return Err(e),
            }
        }
        // Nothing is created before all three have been looked at.
        for (path, _) in OWN.iter().zip(&missing).filter(|(_, missing)| **missing) {
            create_missing(path, DIRECTORY, child)?;
        }
        Ok(())
    }
}
