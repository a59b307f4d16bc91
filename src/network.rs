//! The network of a container.

use crate::error::Result;
use crate::step::{Child, ChildStep};
use crate::sys;

step! {
    /// Brings up lo, which is down in a new network namespace.
    pub struct BringUpLoopback;
}

impl ChildStep for BringUpLoopback {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_interface_up(b"lo")
    }
}
