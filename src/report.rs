//! `--pid-file`, and the file of `--stats`. Both are created before clone, so that a run whose file cannot be created does not
//! start the command.

use crate::bytes::Put;
use crate::error::{Errno, Result};
use crate::step::{Parent, ParentStep, Slot};
use crate::sys::{self, Dir};
use crate::writable::Output;
use alloc::vec::Vec;
use core::ffi::CStr;

step! {
    /// Creates the file of --pid-file.
    pub struct OpenPidFile {
        /// Where it is.
        pub output: &'static Slot<Output>,
    }
}

impl ParentStep for OpenPidFile {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some((directory, name)) = self.output.take() else { return Ok(()) };
        parent.pid_file = Some(sys::create_file(directory.as_ref(), name)?);
        Ok(())
    }
}

step! {
    /// Writes the container's pid on this host into the file of --pid-file.
    pub struct WritePidFile;
}

impl ParentStep for WritePidFile {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let (Some(file), Some(pid)) = (parent.pid_file.take(), parent.pid) else { return Ok(()) };
        // A pipe under this name may be full.
        if !parent.await_ready(file.borrow(), true)? {
            return Ok(());
        }
        let mut line = Vec::new();
        line.put_decimal(pid.0 as u64);
        line.put(b"\n");
        sys::write_all(file.borrow(), &line).map_err(|e| e.about(b"--pid-file"))
    }
}

step! {
    /// Writes the name of the container into a file that must not exist yet.
    pub struct WriteCidFile {
        /// Where it is.
        pub output: &'static Slot<(Dir, &'static CStr)>,
        /// The name, or what else tells it from others.
        pub id: &'static [u8],
    }
}

impl ParentStep for WriteCidFile {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let hint = (Errno::EEXIST, "its container may still run: remove the file, or name another one");
        let Some((directory, name)) = self.output.take() else { return Ok(()) };
        let path = sys::path_below(Some(&directory), name);
        sys::create(Some(directory.fd()), name, self.id).map_err(|e| e.about(&path).hint_for(&[hint]))?;
        parent.cid_file = Some((directory, name));
        Ok(())
    }
}

step! {
    /// Creates the file for the numbers at the end.
    pub struct OpenStatsFile {
        /// Where it is.
        pub output: &'static Slot<Output>,
    }
}

impl ParentStep for OpenStatsFile {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some((directory, name)) = self.output.take() else { return Ok(()) };
        parent.stats_file = Some(sys::create_file(directory.as_ref(), name)?);
        Ok(())
    }
}
