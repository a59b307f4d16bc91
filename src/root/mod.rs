//! A root of its own: a directory, an image, or the host's own files, as they are or with the writes in memory; and what a
//! command expects in it.
//!
//! The new root is put together at `STAGE`, in the container's mount namespace, where the host's /proc is no longer needed.
//! pivot_root comes before everything that is mounted in it: from then on no link in the root leads out of it, except for the
//! magic links of /proc, which no call here follows.

pub mod create;
pub mod dev;
pub mod enter;
pub mod etc;
pub mod image;
pub mod kernel;
pub mod layer;
pub mod own;
pub mod workdir;

use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::spec::Spec;
use crate::sys::{self, AtFlags, FdRef, Identity};
use crate::writable::Writable;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use image::Image;
use layer::Layer;

/// Where a root is put together: a directory that every host has, and whose content the container does not need.
const STAGE: &CStr = c"/proc";
/// With the writes in memory, the tmpfs is at the stage, and these are directories in it: the root itself,
const MERGED: &CStr = c"/proc/root";
/// and the image below it.
const LOWER: &CStr = c"/proc/lower";

/// What the root is made of.
pub enum Source {
    /// The host's own files.
    Host,
    /// A directory of the host.
    Directory(&'static CStr),
    /// A file of the host with a filesystem in it.
    Image(&'static Image),
}

/// A root.
pub struct Root {
    /// What it is made of.
    pub source: Source,
    /// Which file or directory that is, if the container can write to what it is in.
    pub known: Option<Identity>,
    /// The options of the tmpfs that writes go to; `None` if they go to the source.
    pub writes: Option<&'static CStr>,
    /// With `writes`: the overlays, first that of the root itself, then one for each mount in it; a mount comes after its
    /// parent.
    pub layers: Vec<&'static Layer>,
}

const NO_ROOT: &str = "--rootfs names a folder, or a file with a filesystem: mydocker help root says how to make one";

impl Root {
    /// Looks at what the `spec` names.
    pub fn find(spec: &Spec, host: &Host, in_userns: bool, writable: &mut Writable) -> Result<&'static Root> {
        let known = spec.rootfs.map_or(Ok(None), |path| writable.known(path))?;
        let source = match spec.rootfs {
            None => Source::Host,
            Some(path) => match sys::statx(FdRef::CWD, path, AtFlags::NONE)
                .map_err(|e| e.hint_for(&[(Errno::ENOENT, NO_ROOT)]))?
                .kind()
            {
                libc::S_IFDIR => Source::Directory(path),
                libc::S_IFREG | libc::S_IFBLK => Source::Image(Image::open(path, known)?),
                _ => {
                    let hint = "neither a directory, nor a file or a device with a filesystem in it";
                    return Err(Error::refused("no root", path.to_bytes(), hint));
                }
            },
        };
        let in_memory = spec.ephemeral || matches!(source, Source::Image(_)) && !spec.read_only;
        let root = Box::leak(Box::new(Root { source, known, writes: None, layers: Vec::new() }));
        if in_memory {
            let mut options = Vec::from(b"mode=755");
            // Half the limit on memory, so that a full root fails with ENOSPC instead of an OOM kill.
            let half = spec.limits.memory.map(|memory| memory.value / 2);
            if let Some(size) = spec.ephemeral_size.or(half) {
                options.put(b",size=");
                options.put_decimal(size);
                // An empty file takes about a kilobyte that `size` does not count.
                options.put(b",nr_inodes=");
                options.put_decimal((size / 2048).max(4096));
            }
            root.writes = Some(bytes::c_string(&[&options]));
            root.layers = layer::find(root, host, in_userns)?;
        }
        Ok(root)
    }

    /// Whether what the child creates in it is created in a directory of the host's.
    pub fn is_written_to(&self) -> bool {
        matches!(self.source, Source::Directory(_)) && self.writes.is_none()
    }

    /// Where it is put together.
    pub fn staging_path(&self) -> &'static CStr {
        if self.writes.is_some() { MERGED } else { STAGE }
    }
}
