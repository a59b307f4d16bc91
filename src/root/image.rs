//! An image as the root: a file with a filesystem in it, behind a loop device.

use super::{LOWER, STAGE};
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, Fd, Identity, Loop, MountFlags, OpenFlags};
use crate::writable;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A filesystem image, or a block device with a filesystem on it. An image is opened once, so
/// that the file whose marks were read is the file that is mounted. A device is mounted by its name.
pub struct Image {
    /// Its path on the host.
    pub path: &'static CStr,
    /// The file, until a loop device holds it; a block device needs none.
    file: Slot<Fd>,
    /// It has the mark of a filesystem.
    is_marked: bool,
    /// The filesystems that it may hold.
    types: Vec<&'static CStr>,
    /// If it cannot be mounted: what the file is, and the command that helps.
    hint: &'static str,
}

/// Files that hold a filesystem in another form, or none, by their marks; and what helps.
const OTHERS: [(u64, &[u8], &str); 11] = [
    (0, b"\x1f\x8b", "it is compressed: gunzip it first; a .tar.gz: tar -xzf it into a folder"),
    (0, b"\xfd7zXZ", "it is compressed: unxz it first; a .tar.xz: tar -xJf it into a folder"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed: unzstd it first; a .tar.zst: tar --zstd -xf it into a folder"),
    (0, b"BZh", "it is compressed: bunzip2 it first; a .tar.bz2: tar -xjf it into a folder"),
    (257, b"ustar", "it is a tar archive: tar -xf it into a folder, and use that"),
    (0, b"070701", "it is a cpio archive: cpio -id into a folder, and use that"),
    (0, b"PK\x03\x04", "it is a zip archive: unzip it into a folder, and use that"),
    (0, b"QFI\xfb", OF_A_MACHINE),
    (0, b"KDMV", OF_A_MACHINE),
    (512, b"EFI PART", PARTITIONED),
    (510, b"\x55\xaa", PARTITIONED),
];

const OF_A_MACHINE: &str = "it is a qcow2 or vmdk image: qemu-img convert -O raw makes one that can be mounted";

const PARTITIONED: &str = "it is a disk with partitions: losetup -P -f --show makes a device of each, such as /dev/loop0p1, to use as --rootfs";

/// Where a squashfs has its size, in 8 bytes.
const SQUASHFS_SIZE_AT: u64 = 40;

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
    /// Whether it is one of ext2, ext3 and ext4, of which each has the mark.
    fn is_ext(&self) -> bool {
        self.is_marked && self.types.first() == Some(&c"ext4")
    }

    /// How it is mounted, and an overlay on it: on one of ext, which is made on any host, set-user-ID files give nothing.
    pub fn flags(&self) -> MountFlags {
        if self.is_ext() { MountFlags::NOSUID } else { MountFlags::NONE }
    }

    /// Opens it and looks for a mark. The kernel loads the module of a filesystem that is asked for by name; an image without a
    /// mark may hold any that the kernel has already.
    pub fn open(path: &'static CStr, known: Option<Identity>) -> Result<&'static Image> {
        // What has come in its place, a FIFO perhaps, is not to be waited for.
        let file = sys::open(path, OpenFlags::NONBLOCK)?;
        writable::check(known, &|| sys::statx_fd(file.borrow()), path)?;
        let has = |offset: u64, mark: &[u8]| -> Result<bool> {
            let mut bytes = [0u8; 8];
            let n = sys::pread(file.borrow(), &mut bytes, offset).map_err(|e| e.about(path.to_bytes()))?;
            Ok(bytes.get(..n).unwrap_or_default().starts_with(mark))
        };
        let status = sys::statx_fd(file.borrow()).map_err(|e| e.about(path.to_bytes()))?;
        if known.is_some() && status.kind() == libc::S_IFBLK {
            let hint = "the container could put another one there: name it where it cannot";
            return Err(Error::refused("a device below what the container can write to:", path.to_bytes(), hint));
        }
        let mut types = Vec::new();
        for &(name, offset, mark) in &MARKS {
            if has(offset, mark)? {
                types.push(name);
            }
        }
        let mut hint = "this kernel knows none that is in this file";
        let is_marked = !types.is_empty();
        if types.first() == Some(&c"squashfs") && status.kind() == libc::S_IFREG {
            let mut size = [0u8; 8];
            sys::pread(file.borrow(), &mut size, SQUASHFS_SIZE_AT).map_err(|e| e.about(path.to_bytes()))?;
            if u64::from_le_bytes(size) > status.size {
                hint = "it is a squashfs whose end is missing: copy or make it again";
            }
        }
        if !is_marked {
            for &(offset, mark, other) in OTHERS.iter().rev() {
                if has(offset, mark)? {
                    hint = other;
                }
            }
            // Those that need no device are marked with "nodev".
            for line in bytes::split(&sys::read_file(c"/proc/filesystems")?, b'\n') {
                if let Some(name) = line.strip_prefix(b"\t") {
                    types.push(bytes::c_string(&[name]));
                }
            }
        }
        let file = Slot::new(Some(file).filter(|_| status.kind() == libc::S_IFREG));
        Ok(Box::leak(Box::new(Image { path, file, is_marked, types, hint })))
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
        let mounted = self.mount(child);
        if let Some(image) = &child.image {
            image.remove_node();
        }
        mounted
    }
}

impl MountImage {
    fn mount(&self, child: &Child) -> Result<()> {
        let path = self.image.path.to_bytes();
        let target = if self.below_writes { LOWER } else { STAGE };
        if self.below_writes {
            sys::mkdir(None, LOWER, 0o755)?;
        }
        let device =
            child.image.as_ref().map_or(Some(self.image.path), |image| image.path.as_c_str()).unwrap_or_default();
        for fstype in &self.image.types {
            // What its superblock says about errors may be to stop the host.
            let data = self.image.is_ext().then_some(c"errors=continue");
            let flags = MountFlags::RDONLY | self.image.flags();
            match sys::mount(device, target, fstype, flags, data) {
                // The image is of another type, or of one that this kernel does not have. Without a mark, any error may mean
                // that.
                Err(e) if !self.image.is_marked || e.is(Errno::EINVAL) || e.is(Errno::ENODEV) => {}
                Err(e) if e.is(Errno::EBUSY) => {
                    return Err(e.about(path).with_hint("it is mounted elsewhere: use that folder"));
                }
                Err(e) if e.is(Errno::EROFS) => {
                    return Err(e.about(path).with_hint("its journal must be replayed first: run fsck on it"));
                }
                other => return other.map_err(|e| e.about(path).hint_for(&[(Errno::EPERM, sys::NO_IMAGE)])),
            }
        }
        Err(Error::refused("no filesystem in", path, self.image.hint))
    }
}
