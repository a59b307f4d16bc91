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
use crate::sys::{self, CloneFlags, OpenFlags, Pid};
use core::ffi::CStr;

step! {
    /// Brings up lo, which is down in a new network namespace.
    pub struct BringUpLoopback;
}

impl ChildStep for BringUpLoopback {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_interface_up(b"lo")
    }
}

step! {
    /// Joins the network namespace that a file stands for: setns(2).
    pub struct JoinNetwork {
        /// The file, such as /run/netns/NAME or /proc/PID/ns/net.
        pub path: &'static CStr,
        /// The word that the user knows it by.
        pub word: &'static CStr,
    }
}

impl ChildStep for JoinNetwork {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let namespace = sys::open(self.path, OpenFlags::NONE)?;
        sys::setns(namespace.borrow(), CloneFlags::NEWNET).map_err(|e| {
            e.about(self.word.to_bytes()).hint_for(&[
                (Errno::EINVAL, "it is no network namespace"),
                (Errno::EPERM, "it belongs to another user namespace: only root there may join it"),
            ])
        })
    }
}

/// Waits until a helper has ended. With `--pid host` it may have been reaped among the orphans.
fn await_end(pid: Pid) -> Result<()> {
    match sys::wait4(pid, true) {
        Err(e) if !e.is(Errno::ECHILD) => Err(e),
        _ => Ok(()),
    }
}
