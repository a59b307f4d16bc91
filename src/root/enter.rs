//! From the host's root into its own.

use super::STAGE;
use super::create::create_missing;
use crate::error::{Errno, Error, Result};
use crate::step::{Child, ChildStep};
use crate::sys::{self, MountFlags, OpenFlags};
use core::ffi::CStr;

step! {
    /// Lets mounts come in from the host, and none go out.
    ///
    /// Slave, not private: a private copy would keep the device of a filesystem busy that the host unmounts.
    pub struct MakeMountsSlave;
}

impl ChildStep for MakeMountsSlave {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)
    }
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
        sys::make_read_only(&mount, self.path)
    }
}

step! {
    /// Makes it the root; the old one is then on top of it.
    pub struct EnterRoot {
        /// Where it has been put together.
        pub path: &'static CStr,
    }
}

impl ChildStep for EnterRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        sys::chdir(self.path)?;
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
            create_missing(path, true, child)?;
        }
        Ok(())
    }
}
