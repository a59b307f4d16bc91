//! The network of a container.

pub mod bridge;
pub mod filter;
pub mod names;
pub mod publish;
pub mod relay;
pub mod slirp;
mod words;

pub use words::{address, bridge_of, mac, parse, publish, subnet};

use crate::error::{Errno, Result};
use crate::step::{Child, ChildStep};
use crate::sys::{self, Pid};

step! {
    /// Brings up lo, which is down in a new network namespace.
    pub struct BringUpLoopback;
}

impl ChildStep for BringUpLoopback {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_interface_up(b"lo")
    }
}

/// Waits until a helper has ended. With `--pid host` it may have been reaped among the orphans.
fn await_end(pid: Pid) -> Result<()> {
    match sys::wait4(pid, true) {
        Err(e) if !e.is(Errno::ECHILD) => Err(e),
        _ => Ok(()),
    }
}
