//! A container that a command names: its record, its first process, and what /proc has of that.

use crate::bytes;
use crate::error::{Error, Result};
use crate::state::{self, Record};
use crate::sys::{self, Dir, FdRef, OpenFlags, Place};
use core::ffi::CStr;

/// What [`find`] says of a name that no record has.
pub const NO_CONTAINER: &str = "no such container:";

/// The record of a container, for a command that names it.
pub fn find(folder: Option<&Dir>, name: &CStr) -> Result<Record> {
    let refused = |what| Err(Error::refused(what, name.to_bytes(), ""));
    match folder.map(|folder| Record::open(folder, name)).transpose()?.flatten() {
        None => refused(NO_CONTAINER),
        Some(record) => Ok(record),
    }
}

/// The status of a container whose keeper was killed: SIGKILL has ended it, too.
pub const KILLED: u64 = 128 + libc::SIGKILL as u64;

/// What is said of a container whose processes cannot be seen.
pub const UNSEEN: &str = "its processes are in another PID namespace, where it was started:";

/// The process of a container that runs.
pub fn running(record: &Record, name: &CStr) -> Result<(sys::Fd, sys::Pid, sys::Pid)> {
    let what = if !record.is_readable() {
        state::DAMAGED
    } else if !record.alive {
        "it has ended:"
    } else if record.state.is_empty() {
        "it is still starting:"
    } else if record.end().is_some() {
        "it is restarting:"
    } else {
        match record.process()? {
            Some(process) => return Ok(process),
            None if !record.is_seen()? => UNSEEN,
            None => "it is ending:",
        }
    };
    Err(Error::refused(what, name.to_bytes(), ""))
}

/// Opens what a process of a container has as `file` in its directory in /proc: such as `/root`.
pub fn open_in_proc(pid: sys::Pid, process: FdRef, file: &str, flags: OpenFlags, name: &CStr) -> Result<sys::Fd> {
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), file.as_bytes()]);
    let opened = sys::open(path, flags)?;
    // As long as it is alive, nobody else has its pid.
    match sys::await_readable(process, Some(0))? {
        true => Err(Error::refused("it has ended:", name.to_bytes(), "")),
        false => Ok(opened),
    }
}

/// A file in the directory in /proc of the first process of a container that runs, such as `/ns/net`, or that directory: a name of
/// what this process and its children hold open. And the root that the container has, if that is its mydocker's.
pub fn namespace_of(folder: Option<&Dir>, name: &'static CStr, file: &str) -> Result<(&'static CStr, Option<Place>)> {
    let record = find(folder, name)?;
    let (process, pid, _) = running(&record, name)?;
    let namespace = open_in_proc(pid, process.borrow(), file, OpenFlags::NONE, name)?;
    let held = bytes::c_string(&[b"/proc/self/fd/", &bytes::to_decimal(namespace.borrow().number() as u64)]);
    core::mem::forget(namespace);
    Ok((held, record.root()))
}

/// After an exec: a command that was killed, or that could not be started, was perhaps so because its container has ended, or is
/// about to. Then no errno of a call says so, but this.
pub fn tell_end(process: FdRef, pid: sys::Pid, name: &CStr, result: Result<i32>) -> Result<i32> {
    let is_perhaps = match result {
        Ok(status) => status == KILLED as i32,
        Err(e) => e.status() == 125,
    };
    if is_perhaps && (state::is_exiting(pid)? || sys::await_readable(process, Some(END_MS))?) {
        sys::say(Error::refused("the container has ended:", name.to_bytes(), ""));
        return Ok(KILLED as i32);
    }
    result
}

/// How long, in milliseconds, to wait for its end where both were killed at once.
const END_MS: u32 = 50;
