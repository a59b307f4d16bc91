//! The working directory.

use super::create::{DIRECTORY, create_missing};
use crate::error::{Errno, Result};
use crate::step::{Child, ChildStep};
use crate::sys::{self, OpenFlags};
use core::ffi::CStr;

step! {
    /// Changes to the working directory, by no magic link.
    pub struct ChangeDirectory {
        /// The directory.
        pub path: &'static CStr,
        /// In a root of its own, and in memory of its own, it is created if it is missing.
        pub create: bool,
        /// Where only the user may enter it, the process enters it when it has become the user.
        pub for_user: bool,
    }
}

impl ChildStep for ChangeDirectory {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        match enter(self.path) {
            Err(e) if e.is(Errno::ENOENT) && self.create => {
                create_missing(self.path, DIRECTORY, child)?;
                enter(self.path)
            }
            Err(e) if e.is(Errno::EACCES) && self.for_user => {
                child.workdir_is_users = true;
                Ok(())
            }
            other => other,
        }
    }
}

step! {
    /// Changes to the working directory that only the user may enter.
    ///
    /// A FUSE filesystem, or NFS, may refuse root what it allows its user.
    pub struct ChangeDirectoryAsUser {
        /// The directory.
        pub path: &'static CStr,
    }
}

impl ChildStep for ChangeDirectoryAsUser {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        if child.workdir_is_users { enter(self.path) } else { Ok(()) }
    }
}

fn enter(path: &'static CStr) -> Result<()> {
    let opened = sys::openat2(path, OpenFlags::PATH | OpenFlags::DIRECTORY);
    let dir = opened.map_err(|e| {
        e.hint_for(&[
            (Errno::ENOENT, "no such directory; only run creates it, in a root of its own: --rootfs, --ephemeral"),
            (Errno::ENOTDIR, "it, or a part of it, is no directory"),
        ])
    })?;
    sys::fchdir(&dir, path)
}
