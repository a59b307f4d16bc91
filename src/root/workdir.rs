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
        /// In a root of its own it is created if it is missing.
        pub create: bool,
    }
}

impl ChildStep for ChangeDirectory {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let opened = match sys::openat2(self.path, flags) {
            Err(e) if e.is(Errno::ENOENT) && self.create => {
                create_missing(self.path, DIRECTORY, child)?;
                sys::openat2(self.path, flags)
            }
            other => other,
        };
        let dir = opened.map_err(|e| match e.is(Errno::ENOENT) {
            true => e.with_hint("the working directory does not exist; with --ephemeral or --rootfs it is created"),
            false => e,
        })?;
        sys::fchdir(&dir, self.path)
    }
}
