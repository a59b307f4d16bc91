//! From the host's root into its own.

use super::STAGE;
use super::create::{DIRECTORY, create_missing};
use super::kernel::flags_of;
use super::own;
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::mountinfo::{self, Mount};
use crate::step::{Child, ChildStep, Own};
use crate::sys::{self, AtFlags, Fd, FdRef, Identity, MountAttr, MountFlags, OpenFlags, magic};
use crate::writable;
use alloc::vec::Vec;
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
        /// Which one it is, if the container can write to what it is in.
        pub known: Option<Identity>,
    }
}

impl ChildStep for BindRoot {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::mount(self.path, STAGE, c"", MountFlags::BIND | MountFlags::REC, None)
            .map_err(|e| e.about(self.path.to_bytes()))?;
        writable::check(self.known, &|| sys::statx(FdRef::CWD, STAGE, AtFlags::NONE), self.path)
    }
}

step! {
    /// Makes the root read-only, with all that is mounted below it.
    ///
    /// This does not reach what is mounted later.
    pub struct MakeRootReadOnly {
        /// Where it is.
        pub path: &'static CStr,
        /// As [`propagation_of`] says.
        pub propagation: MountFlags,
    }
}

impl ChildStep for MakeRootReadOnly {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let mount = sys::open(self.path, OpenFlags::PATH)?;
        sys::mount_setattr(&mount, MountAttr::RDONLY, self.propagation, self.path)
    }
}

step! {
    /// Lets no device node in the root be opened, nor in what is mounted below it.
    ///
    /// Whoever made the root may have put a node of the host's disk into it. Those of the container's own /dev come later. This
    /// comes before the first file in the root is opened: to open a node of a watchdog is to start it.
    pub struct ForbidDevices {
        /// As [`propagation_of`] says.
        pub propagation: MountFlags,
    }
}

impl ChildStep for ForbidDevices {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        restrict(child, &sys::open(c"/", OpenFlags::PATH)?, c"/", MountAttr::NODEV, self.propagation)
    }
}

/// How a tree that is read-only in the container, or without devices, follows the host at `source`. Where nothing is mounted below
/// `source`, it does not: what the host mounts there later would come in as it is on the host. Where something is, an unmount there
/// must reach the container, or its device would stay busy; and the kernel passes on either both or neither.
pub fn propagation_of(source: &CStr, host: &Host) -> MountFlags {
    if host.has_mounts_below(source) { MountFlags::NONE } else { MountFlags::PRIVATE }
}

/// Adds `attributes` to the mount whose root is `tree`, at `path` in the container, and to all below it; and sets the
/// `propagation`, if that is one.
pub fn restrict(
    child: &mut Child,
    tree: &Fd,
    path: &CStr,
    attributes: MountAttr,
    propagation: MountFlags,
) -> Result<()> {
    match sys::mount_setattr(tree, attributes, propagation, path) {
        Err(e) if e.is(Errno::ENOSYS) => {
            restrict_one_by_one(child, tree, path, attributes).unwrap_or(Err(e))?;
            if propagation == MountFlags::NONE {
                return Ok(());
            }
            let name = own::name_of(child, tree)?;
            sys::mount(c"none", name.as_c_str().unwrap_or_default(), c"", propagation, None)
        }
        other => other,
    }
}

/// The same before Linux 5.12: each mount by itself, as the container's /proc lists them. `None`: it has no /proc yet.
fn restrict_one_by_one(child: &mut Child, tree: &Fd, path: &CStr, attributes: MountAttr) -> Option<Result<()>> {
    let mounts = sys::open(own::enter(child, c"/proc/self/mountinfo").ok()?, OpenFlags::NONE).ok()?;
    if sys::filesystem(mounts.borrow()).ok()? != magic::PROC {
        return None;
    }
    let mut file = Vec::new();
    sys::read_to_end(mounts.borrow(), &mut file).ok()?;
    Some(sys::mount_id(tree, path).and_then(|top| {
        let all = mountinfo::parse(&file);
        for mount in all.iter().filter(|mount| mountinfo::is_below(mount, top, &all)) {
            restrict_one(child, mount, &all, attributes)?;
        }
        Ok(())
    }))
}

/// One of them. `all` are those of the whole file.
fn restrict_one(child: &mut Child, mount: &Mount, all: &[Mount], attributes: MountAttr) -> Result<()> {
    let path = mountinfo::unescape(mount.point);
    let opened = sys::open(path, OpenFlags::PATH | OpenFlags::NOFOLLOW);
    let root = match opened {
        Ok(root) if sys::mount_id(&root, path)? == u64::from(mount.id) => root,
        // Another mount covers it, so that nobody reaches it by its path.
        _ if mountinfo::is_hidden(mount, all) => return Ok(()),
        Ok(_) => {
            let hint = "somebody else has exchanged it while mydocker mounted there";
            return Err(Error::refused("the root has another", path.to_bytes(), hint));
        }
        Err(e) => return Err(e),
    };
    let mut flags = flags_of(mount);
    if attributes.has(MountAttr::NODEV) {
        flags = flags | MountFlags::NODEV;
    }
    if attributes.has(MountAttr::RDONLY) || bytes::has_part(mount.options, b',', b"ro") {
        flags = flags | MountFlags::RDONLY;
    }
    let name = own::name_of(child, &root)?;
    sys::remount(name.as_c_str().unwrap_or_default(), flags).map_err(|e| e.about(path.to_bytes()))
}

step! {
    /// Makes it the root; the old one is then on top of it.
    pub struct EnterRoot {
        /// Where it has been put together.
        pub path: &'static CStr,
        /// It has a user namespace of its own.
        pub new_userns: bool,
    }
}

impl ChildStep for EnterRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // Whoever starts mydocker in a chroot has mounts above its root. A root that took the place of that root would have them
        // above it too, and chroot(2) leads there. So this goes to the top first. (In a chroot no user namespace can be made:
        // user_namespaces(7).)
        let place = sys::open(self.path, OpenFlags::PATH | OpenFlags::DIRECTORY)?;
        if !self.new_userns && sys::enter_own_mount_namespace()? {
            MakeMountsSlave.carry_out(child)?;
        }
        // The root is bound there.
        sys::fchdir(&place, self.path)
            .map_err(|e| e.hint_for(&[(Errno::EACCES, "this user may not enter the directory that --rootfs names")]))?;
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

step! {
    /// Opens the directories that /proc, /sys and /dev are mounted on.
    ///
    /// In a root whose `/dev` is a link they would be mounted elsewhere.
    pub struct CheckRoot;
}

impl ChildStep for CheckRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let open = |path: &CStr| match sys::open(path, OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW) {
            Err(e) if e.is(Errno::ENOTDIR) => {
                let hint = "it is a link or a file, and must be a directory";
                Err(Error::refused("the root has no", path.to_bytes(), hint))
            }
            other => other,
        };
        let mut own = Own::default();
        for (path, slot) in own.all() {
            match open(path) {
                Err(e) if e.is(Errno::ENOENT) => {}
                other => *slot = Some(other?),
            }
        }
        // Nothing is created before all three have been looked at.
        for (path, slot) in own.all() {
            if slot.is_none() {
                create_missing(path, DIRECTORY, child)?;
                *slot = Some(open(path)?);
            }
        }
        child.own = own;
        Ok(())
    }
}
