//! Locks on files and directories: flock(2).

use super::fd::{Fd, FdRef};
use super::flags::Lock;
use super::fs::Dir;
use super::gate::About::In;
use super::gate::{Outcome, call};
use super::time::nanosleep;
use crate::error::{Errno, Error, Result};

/// flock(2) of a file. `Ok(false)`: another process holds it, and `how` does not wait.
pub fn lock_file(file: &Fd, how: Lock) -> Result<bool> {
    flock_fd(file.borrow(), how).unless_would_block().map(|locked| locked.is_some())
}

fn flock_fd(fd: FdRef, how: Lock) -> Outcome {
    // SAFETY: the call takes an open descriptor and flags
    unsafe { call!(flock(fd, how)) }
}

/// flock(2) LOCK_EX, without waiting. `Ok(false)`: another process holds it.
pub fn flock(dir: &Dir) -> Result<bool> {
    lock(dir, Lock::EX | Lock::NB)
}

/// flock(2). `Ok(false)`: another process holds it, and `how` does not wait.
pub fn lock(dir: &Dir, how: Lock) -> Result<bool> {
    let outcome = flock_fd(dir.fd(), how);
    // An error would allocate each time.
    if outcome.is(Errno::EWOULDBLOCK) {
        return Ok(false);
    }
    outcome.about(In(dir.path, c".")).map(|_| true)
}

/// Locks a directory that others hold for moments only.
pub fn lock_soon(dir: &Dir) -> Result<()> {
    lock_file_soon(dir.fd(), Lock::EX, dir.path, "is a mydocker stopped?")
}

/// Locks what others hold for moments only. All signals may be blocked meanwhile, and one of the others may have been stopped: so
/// it does not wait for ever. Forty that come or go at once took two seconds on an emulated processor.
pub fn lock_file_soon(file: FdRef, how: Lock, path: &[u8], hint: &'static str) -> Result<()> {
    for _ in 0..5000 {
        // An error would allocate each time.
        let outcome = flock_fd(file, how | Lock::NB);
        if !outcome.is(Errno::EWOULDBLOCK) {
            return outcome.result().map(drop).map_err(|e| e.about(path));
        }
        nanosleep(1_000_000)?;
    }
    Err(Error::refused("another process holds", path, hint))
}
