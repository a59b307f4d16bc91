//! The network of a container.

pub mod bridge;
pub mod filter;
pub mod guard;
pub mod names;
pub mod publish;
pub mod relay;
pub mod slirp;
mod words;

pub use words::{address, bridge_of, mac, parse, publish, subnet};

use crate::error::{Errno, Result};
use crate::step::{Child, ChildStep, Parent};
use crate::sys::{self, Pid};

step! {
    /// Brings up lo, which is down in a new network namespace.
    pub struct BringUpLoopback;
}

impl ChildStep for BringUpLoopback {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_loopback_up()
    }
}

/// Ends the program that connects it with the outside, and waits for that and for the relay, which ends with the container.
pub fn end(parent: &mut Parent) -> Result<()> {
    let slirp = parent.slirp.take().map(|(pid, _)| pid);
    await_end(parent.relay).and(await_end(slirp))
}

/// Waits until a helper has ended: a second, then SIGKILL ends it. No signal would end this wait: all are blocked.
fn await_end(pid: Option<Pid>) -> Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    let polled = sys::pidfd_open(pid).and_then(|process| sys::await_readable(process.borrow(), Some(1000)));
    // With `--pid host` it may have been reaped among the orphans: then its pid may be somebody else's, who is no child of ours.
    if let Ok(false) = polled
        && let Ok(None) = sys::wait4(pid, false)
    {
        sys::kill(pid, libc::SIGKILL)?;
    }
    match (sys::wait4(pid, true), polled) {
        (Err(e), _) if !e.is(Errno::ECHILD) => Err(e),
        (_, Err(e)) if !e.is(Errno::ESRCH) => Err(e),
        _ => Ok(()),
    }
}
