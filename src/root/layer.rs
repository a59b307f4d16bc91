//! Writes that go to memory: an overlay over the root, and one over each mount in it.

use super::kernel::flags_of;
use super::{LOWER, MERGED, Root, STAGE, Source};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::mountinfo;
use crate::step::{Child, ChildStep};
use crate::sys::{self, AtFlags, FdRef, Identity, MountFlags, OpenFlags};
use crate::writable;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The flags of a mount that forbid something.
const FORBIDDING: MountFlags = MountFlags::from_bits(libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);

/// One mount whose writes go elsewhere.
pub struct Layer {
    /// Where it is.
    pub lower: &'static CStr,
    /// Where the overlay goes.
    pub target: &'static CStr,
    /// Where its writes go.
    pub upper: &'static CStr,
    /// Where overlayfs prepares them.
    pub work: &'static CStr,
    /// The options of the overlay.
    pub options: &'static CStr,
    /// nosuid, nodev and noexec, as they are on the host.
    pub flags: MountFlags,
    /// It is in a user namespace.
    in_userns: bool,
    /// Which directory is at `lower`, if the container can write to what that is in.
    known: Option<Identity>,
}

/// The root and the mounts in it, except where the container has its own.
pub fn find(root: &Root, host: &Host, in_userns: bool) -> Result<Vec<&'static Layer>> {
    let (top, lower) = match &root.source {
        Source::Image(image) => return Ok(alloc::vec![Layer::new(0, LOWER, b"", image.flags(), in_userns, None)]),
        Source::Host => (Vec::new(), c"/"),
        Source::Directory(path) => {
            (sys::path_of(sys::open(path, OpenFlags::PATH | OpenFlags::DIRECTORY)?.borrow())?, *path)
        }
    };
    let mut layers = alloc::vec![Layer::new(0, lower, b"", MountFlags::NONE, in_userns, root.known)];
    let all = host.mounts.as_ref().map_err(|e| *e)?;
    for mount in all {
        let point = mountinfo::unescape(mount.point);
        let below = bytes::below(point.to_bytes(), &top).unwrap_or_default();
        let first = bytes::split(below, b'/').nth(1).unwrap_or_default();
        // A /proc of the host, wherever it is mounted, leads to every file of the host.
        if matches!(first, b"" | b"proc" | b"sys" | b"dev")
            || mount.fstype == b"proc"
            || mountinfo::is_hidden(mount, all)
        {
            continue;
        }
        let flags = flags_of(mount) & FORBIDDING;
        let layer = Layer::new(layers.len(), point, below, flags, in_userns, None);
        // A mount comes after its parent, whose path is a prefix of its own.
        let before = layers.iter().filter(|other| other.target <= layer.target).count();
        layers.insert(before, layer);
    }
    Ok(layers)
}

impl Layer {
    fn new(
        number: usize,
        lower: &'static CStr,
        below: &[u8],
        flags: MountFlags,
        in_userns: bool,
        known: Option<Identity>,
    ) -> &'static Layer {
        let number = bytes::to_decimal(number as u64);
        let upper = bytes::c_string(&[b"/proc/upper", &number]);
        let work = bytes::c_string(&[b"/proc/work", &number]);
        Box::leak(Box::new(Layer {
            lower,
            target: bytes::c_string(&[MERGED.to_bytes(), below]),
            upper,
            work,
            // A path of the host may hold the characters that divide options and layers; the working directory has no name.
            // In a user namespace overlayfs keeps its notes in attributes that an ordinary user may write.
            options: bytes::c_string(&[
                // Every file keeps its number, and has the same device as its directory.
                b"xino=on,lowerdir=.,upperdir=",
                upper.to_bytes(),
                b",workdir=",
                work.to_bytes(),
                if in_userns { b",userxattr" } else { b"" },
            ]),
            flags,
            in_userns,
            known,
        }))
    }

    fn mount_overlay(&self) -> Result<()> {
        if self.target == MERGED {
            sys::chdir(self.lower)?;
        } else {
            // What mountinfo names has no links in it: one that is there now was put there since, and may lead anywhere.
            let lower = sys::open_without_links(self.lower, OpenFlags::PATH | OpenFlags::DIRECTORY)?;
            sys::fchdir(&lower, self.lower)?;
        }
        // The top of an overlay has the owner and the mode of the upper directory: make them those of the lower.
        let top = sys::statx(FdRef::CWD, c".", AtFlags::NONE)?;
        writable::check(self.known, &|| Ok(top), self.lower)?;
        sys::mkdir(None, self.upper, top.mode & 0o7777)?;
        if (top.uid, top.gid) != (0, 0) {
            match sys::chown(self.upper, top.uid, top.gid) {
                // The owner has no id in this user namespace.
                Err(e) if e.is(Errno::EINVAL) => {}
                other => other?,
            }
        }
        sys::mkdir(None, self.work, 0o700)?;
        sys::mount(c"overlay", self.target, c"overlay", self.flags, Some(self.options))
            .map_err(|e| e.about(self.lower.to_bytes()))
    }
}

impl Layer {
    /// Mounts what it is over as it is.
    fn bind(&self) -> Result<()> {
        let wanted = sys::open_without_links(self.lower, OpenFlags::PATH)?;
        sys::mount(self.lower, self.target, c"", MountFlags::BIND, None)?;
        // Of a filesystem of a process, perhaps nobody else may ask even that, or nobody answers.
        let hidden = [Errno::EACCES, Errno::ENOTCONN];
        let is_same = match (sys::statx_fd(wanted.borrow()), sys::statx(FdRef::CWD, self.target, AtFlags::NONE)) {
            (Ok(wanted), Ok(found)) => wanted.identity() == found.identity(),
            (Err(wanted), Err(found)) => wanted.is_one_of(&hidden) && found.is_one_of(&hidden),
            _ => false,
        };
        match is_same {
            true => Ok(()),
            false => Err(Error::refused("it was exchanged a moment ago:", self.lower.to_bytes(), "run it again")),
        }
    }
}

step! {
    /// Mounts the memory that writes go to.
    pub struct MountWrites {
        /// The options of the tmpfs.
        pub options: &'static CStr,
    }
}

impl ChildStep for MountWrites {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::mount(c"tmpfs", STAGE, c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(self.options))?;
        sys::mkdir(None, MERGED, 0o755)
    }
}

step! {
    /// Mounts an overlay, whose writes go to memory.
    pub struct MountLayer {
        /// The overlay.
        pub layer: &'static Layer,
    }
}

impl ChildStep for MountLayer {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let layer = self.layer;
        match layer.mount_overlay() {
            // Not every mount can have an overlay, for instance a file: then it is read-only.
            Err(_) if layer.target != MERGED => {
                match layer.bind() {
                    // Its root has been removed, or nobody else may go through what it is in: the kernel mounts it nowhere else.
                    Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::EACCES]) => {
                        let hint = "its file was replaced on the host, or root may not reach it: what it covers is seen";
                        let warning = Error::refused("left out of --ephemeral:", layer.lower.to_bytes(), hint);
                        // This process does not wait for a reader.
                        return sys::say_now(warning)
                            .map_err(|e| e.with_hint("its file was replaced on the host; and nobody reads this warning"));
                    }
                    other => other?,
                }
                sys::remount_read_only(layer.target, layer.flags)
            }
            Err(e) if e.is(Errno::ENODEV) => Err(e.with_hint("this kernel has no overlay: modprobe overlay")),
            Err(e) if e.is(Errno::EINVAL) && layer.in_userns => Err(e.with_hint(
                "in a user namespace no overlay can be on a folder with mounts of the host below it, such as /: use --rootfs DIR",
            )),
            Err(e) if e.is(Errno::EINVAL) => Err(e.with_hint(
                "the kernel takes no overlay on this filesystem, as on two overlays: use a copy of the folder on another one",
            )),
            other => other,
        }
    }
}
