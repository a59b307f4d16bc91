//! An image as the root: a file with a filesystem in it, behind a loop device.

use super::{LOWER, STAGE};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, Fd, Loop, MountFlags, OpenFlags};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A filesystem image. It is opened once, so that the file whose marks were read is the file that is mounted.
pub struct Image {
    /// Its path on the host.
    pub path: &'static CStr,
    /// The file, until a loop device holds it.
    file: Slot<Fd>,
    /// It has the mark of a filesystem.
    is_marked: bool,
    /// The filesystems that it may hold.
    types: Vec<&'static CStr>,
}

/// Filesystems with the offset and the bytes of their marks: from the kernel's headers.
const MARKS: [(&CStr, u64, &[u8]); 6] = [
    (c"squashfs", 0, b"hsqs"),
    (c"erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    (c"ext4", 1024 + 56, &[0x53, 0xef]),
    (c"xfs", 0, b"XFSB"),
    (c"iso9660", 32769, b"CD001"),
    (c"btrfs", 65600, b"_BHRfS_M"),
];

impl Image {
    /// Opens it and looks for a mark. The kernel loads the module of a filesystem that is asked for by name; an image without a
    /// mark may hold any that the kernel has already.
    pub fn open(path: &'static CStr) -> Result<&'static Image> {
        let file = sys::open(path, OpenFlags::NONE)?;
        let mut types = Vec::new();
        for &(name, offset, mark) in &MARKS {
            let mut bytes = [0u8; 8];
            let n = sys::pread(file.borrow(), &mut bytes, offset).map_err(|e| e.about(path.to_bytes()))?;
            if bytes.get(..n).unwrap_or_default().starts_with(mark) {
                types.push(name);
            }
        }
        let is_marked = !types.is_empty();
        if !is_marked {
            // Those that need no device are marked with "nodev".
            for line in bytes::split(&sys::read_file(c"/proc/filesystems")?, b'\n') {
                if let Some(name) = line.strip_prefix(b"\t") {
                    types.push(bytes::c_string(&[name]));
                }
            }
        }
        Ok(Box::leak(Box::new(Image { path, file: Slot::new(Some(file)), is_marked, types })))
    }
}

step! {
    /// Puts a loop device in front of the image.
    pub struct AttachImage {
        /// The image.
        pub image: &'static Image,
    }
}

impl ParentStep for AttachImage {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        if let Some(file) = self.image.file.take() {
            parent.child.image = Some(Loop::attach(&file, self.image.path)?);
        }
        Ok(())
    }
}

step! {
    /// Mounts the image.
    pub struct MountImage {
        /// The image.
        pub image: &'static Image,
        /// It is below an overlay.
        pub below_writes: bool,
    }
}

impl ChildStep for MountImage {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let path = self.image.path.to_bytes();
        let target = if self.below_writes { LOWER } else { STAGE };
        if self.below_writes {
            sys::mkdir(None, LOWER, 0o755)?;
        }
        let Some(device) = child.image.as_ref().and_then(|image| image.path.as_c_str()) else { return Ok(()) };
        for fstype in &self.image.types {
            // What the superblock of an ext filesystem says about errors may be to stop the host.
            let (flags, data) = match fstype.to_bytes().starts_with(b"ext") {
                true => (MountFlags::RDONLY | MountFlags::NOSUID, Some(c"errors=continue")),
                false => (MountFlags::RDONLY, None),
            };
            match sys::mount(device, target, fstype, flags, data) {
                // The image is of another type, or of one that this kernel does not have. Without a mark, any error may mean
                // that.
                Err(e) if !self.image.is_marked || e.is(Errno::EINVAL) || e.is(Errno::ENODEV) => {}
                Err(e) if e.is(Errno::EROFS) => {
                    return Err(e.about(path).with_hint("its journal must be replayed first: run fsck on it"));
                }
                other => return other.map_err(|e| e.about(path)),
            }
        }
        Err(Error::refused("no filesystem in", &[path], "this kernel knows none that is in this file"))
    }
}
