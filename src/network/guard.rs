//! The process that outlives a mydocker that is killed, and removes what that one had for its bridge.

use super::{bridge, names};
use crate::error::{Errno, Result};
use crate::host::Host;
use crate::spec::Spec;
use crate::state;
use crate::step::{Parent, ParentStep};
use crate::sys::{self, CloneFlags, Dir, Fd, Pid, Whence, record};

step! {
    /// Leaves the bridge in the care of another process: a mydocker that is killed removes nothing.
    ///
    /// That one waits for the end of a pipe, which mydocker holds.
    pub struct GuardBridge {
        /// The container.
        pub spec: &'static Spec,
        /// The host.
        pub host: &'static Host,
        /// It has a hosts file beside the records.
        pub has_names: bool,
    }
}

impl ParentStep for GuardBridge {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        if self.has_names {
            parent.records = state::folder(self.spec.state, self.host.ids.0, self.host.environment, true)?;
        }
        let records = parent.records.as_ref();
        let (read, write) = sys::pipe2()?;
        match sys::fork(CloneFlags::NONE)? {
            Some(pid) => {
                // SIGKILL to the process group of mydocker must not end that process, too.
                sys::lead_group(pid)?;
                if record::is_on() {
                    await_end(&read, records)?;
                }
                parent.guard = Some((pid, sys::pidfd_open(pid)?, write));
                Ok(())
            }
            None => {
                drop(write);
                sys::exit_group(match await_end(&read, records).and_then(|()| remove_soon(records)) {
                    Ok(()) => 0,
                    Err(_) => 125,
                });
            }
        }
    }
}

/// Waits until mydocker has ended. Of what it has open, the folder of all records stays so.
fn await_end(pipe: &Fd, records: Option<&Dir>) -> Result<()> {
    // Nothing of the caller's is to stay busy.
    sys::chdir(c"/")?;
    match records {
        Some(records) => sys::close_all_but(0, &[pipe.borrow(), records.fd()])?,
        None => sys::close_all_but(0, &[pipe.borrow()])?,
    }
    sys::read(pipe.borrow(), &mut [0]).map(drop)
}

/// A process that is on its way out holds its locks until it is gone: on a busy host that takes a while. So it tries for five seconds,
/// and pauses twice as long each time, for others may use the bridge.
fn remove_soon(records: Option<&Dir>) -> Result<()> {
    let mut pause = 10_000_000;
    while !remove(records)? && pause < 4_000_000_000 {
        sys::nanosleep(pause)?;
        pause *= 2;
    }
    Ok(())
}

/// Removes mydocker's bridges, and the hosts files of their containers beside `records`, as far as nobody uses them: where the last
/// mydocker that did was killed, it has left them. Returns whether none is left.
pub fn remove(records: Option<&Dir>) -> Result<bool> {
    let is_unused = bridge::remove_unused()?;
    let Some(records) = records else { return Ok(is_unused) };
    // It may have been read.
    sys::lseek(records.fd(), 0, Whence::SET)?;
    Ok(names::sweep_others(records) && is_unused)
}

/// In mydocker, at the end: that process has nothing to do.
pub fn dismiss(pid: Pid, process: &Fd) -> Result<()> {
    sys::pidfd_send_signal(process.borrow(), libc::SIGKILL)?;
    match sys::wait4(pid, true) {
        // It may have been killed before, and waited for among the orphans.
        Err(e) if !e.is(Errno::ECHILD) => Err(e),
        _ => Ok(()),
    }
}
