//! /dev of a root of its own.

use super::own;
use crate::bytes;
use crate::error::{Errno, Result};
use crate::spec::{Content, Volume};
use crate::step::{Child, ChildStep};
use crate::sys::{self, Device, MountAttr, MountFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// The devices that every program expects, with the kernel's numbers: Documentation/admin-guide/devices.txt.
const NODES: [(&CStr, Device); 6] = [
    (c"null", Device::NULL),
    (c"zero", Device::new(1, 5)),
    (c"full", Device::new(1, 7)),
    (c"random", Device::new(1, 8)),
    (c"urandom", Device::new(1, 9)),
    (c"tty", Device::new(5, 0)),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

step! {
    /// Mounts a /dev with what every program expects.
    ///
    /// The umask must be 0. The tmpfs is small, for what is in it counts as the container's memory.
    pub struct MountDev {
        /// In a user namespace nodes cannot be made: there the host's are bound over empty files.
        pub with_nodes: bool,
    }
}

impl ChildStep for MountDev {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let Some(target) = &child.own.dev else { return Ok(()) };
        let options = [(c"mode", c"755"), (c"size", c"1m")];
        let dev = sys::mount_on(target, c"/dev", c"tmpfs", MountAttr::NOSUID, &options)?;
        for &(name, device) in &NODES {
            match self.with_nodes {
                true => sys::mknod(Some(&dev), name, libc::S_IFCHR | 0o666, device)?,
                false => sys::mknod(Some(&dev), name, libc::S_IFREG | 0o644, Device::NONE)?,
            }
        }
        for (name, to) in &LINKS {
            sys::symlink(to, &dev, name)?;
        }
        for name in &[c"pts", c"shm", c"mqueue"] {
            sys::mkdir(Some(&dev), name, 0o755)?;
        }
        child.own.dev = Some(dev);
        Ok(())
    }
}

step! {
    /// Mounts memory for POSIX shared memory: shm_overview(7).
    pub struct MountShm {
        /// The options of the tmpfs, with its size.
        pub options: &'static CStr,
        /// The host may have no such directory.
        pub may_be_missing: bool,
    }

    may_fail |step| step.may_be_missing
}

/// Where shared memory is mounted.
pub const SHM: &CStr = c"/dev/shm";

impl ChildStep for MountShm {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        match sys::mount(c"shm", own::enter(child, SHM)?, c"tmpfs", flags, Some(self.options)) {
            Err(e) if self.may_be_missing && e.is_one_of(&[Errno::ENOENT, Errno::ENOTDIR]) => Ok(()),
            other => other,
        }
    }
}

step! {
    /// Mounts memory on /dev/shm for the files that the next steps bind.
    ///
    /// Shared memory hides it afterwards.
    pub struct MountRoomForFiles;

    may_fail |_| true
}

impl ChildStep for MountRoomForFiles {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        MountShm { options: c"mode=755,size=1m", may_be_missing: true }.carry_out(child)
    }
}

/// Adds the paths of what a process in a user namespace cannot make, and so is bound from the host: the nodes of /dev, and the
/// filesystems of those namespaces that it shares with the host.
pub fn add_userns_binds(binds: &mut Vec<&'static CStr>, network: bool, pid: bool, ipc: bool) {
    for (name, _) in &NODES {
        binds.push(bytes::c_string(&[b"/dev/", name.to_bytes()]));
    }
    // Not every host has its queues mounted.
    let shared = [network, pid, ipc && sys::exists(super::kernel::MQUEUE)];
    for (path, is_shared) in super::kernel::OF_NAMESPACES.iter().zip(&shared) {
        if *is_shared {
            binds.push(path);
        }
    }
}

/// A bind of the host's `path` at the same path.
pub fn bind_from_host(path: &'static CStr) -> Volume {
    // A process that owns nothing of the host's network namespace cannot change anything in /sys.
    Volume { content: Content::Host { source: path, read_only: path == c"/sys", devices: true }, target: path }
}

/// Whether a volume is one that [`add_userns_binds`] adds.
pub fn is_userns_bind(volume: &Volume) -> bool {
    let is_node = |name: &[u8]| NODES.iter().any(|(node, _)| node.to_bytes() == name);
    volume.target.to_bytes().strip_prefix(b"/dev/").is_some_and(is_node)
        || super::kernel::OF_NAMESPACES.contains(&volume.target)
}
