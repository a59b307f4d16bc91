//! Waiting for descriptors: ppoll(2).

use super::Fd;
use super::gate::sys;
use crate::error::Result;

/// A descriptor and what is waited for: struct pollfd.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Poll(libc::pollfd);

impl Poll {
    /// Waits until `fd` can be read, written to, or either. Without any interest it is passed over.
    pub fn new(fd: i32, read: bool, write: bool) -> Poll {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        Poll(libc::pollfd { fd: if events == 0 { -1 } else { fd }, events, revents: 0 })
    }

    /// It can be read, or has ended.
    pub fn can_read(self) -> bool {
        self.shows(libc::POLLIN)
    }

    /// It can be written to, or its other end is gone.
    pub fn can_write(self) -> bool {
        self.shows(libc::POLLOUT)
    }

    fn shows(self, event: i16) -> bool {
        self.0.events & event != 0 && self.0.revents & (event | libc::POLLHUP | libc::POLLERR) != 0
    }
}

/// Waits for one of `fds`, at most so many milliseconds if there is a limit. `Ok(false)`: none has come.
pub fn poll(fds: &mut [Poll], milliseconds: Option<u32>) -> Result<bool> {
    let limit = milliseconds.unwrap_or(0);
    let mut time = [i64::from(limit / 1000), i64::from(limit % 1000) * 1_000_000];
    let time = milliseconds.map_or(core::ptr::null_mut(), |_| time.as_mut_ptr());
    // SAFETY: the slice and its length; a time that the kernel counts down, or null to wait; a null mask changes none
    unsafe { sys!(ppoll(fds.as_mut_ptr(), fds.len(), time, 0usize, 8usize)) }.of(b"").map(|ready| ready > 0)
}

/// Whether the reading end of the pipe that `fd` writes to is closed.
pub fn reader_is_gone(fd: &Fd) -> Result<bool> {
    // What is not asked for is told all the same.
    poll(&mut [Poll(libc::pollfd { fd: fd.raw(), events: 0, revents: 0 })], Some(0))
}
