//! The child: a copy of the memory of the parent, on a stack of its own, in new namespaces. It allocates little: the causes of its
//! errors, and what it reads inside, such as passwd; its heap has no locks, and makes no call but mmap(2). It cannot panic, and
//! leaves by execve or exit_group.

use crate::error::Result;
use crate::step::Child;
use crate::sys;
use crate::sys::trace::{self, Who};

/// Where clone enters.
pub fn main(child: &mut Child) -> ! {
    let Err(error) = walk(child) else { sys::exit_group(125) };
    let told = match &child.pipes.error_write {
        Some(pipe) if child.has_appeared => sys::send_message(pipe.borrow(), error),
        Some(pipe) => sys::send_error(pipe.borrow(), error),
        None => Err(error),
    };
    if told.is_err() {
        sys::say(error);
    }
    sys::exit_group(error.status())
}

/// Walks the steps of the child. Only the last one, execve, does not come back.
fn walk(child: &mut Child) -> Result<()> {
    for (listed, at) in child.steps.iter().zip(1..) {
        trace::begin_step(Who::Child, listed.purpose);
        if let Some(stops) = child.stops {
            if at == 1 {
                // A parent that is killed at a stop takes the child with it.
                sys::die_with_parent()?;
            }
            stops.before("child", at, listed.purpose)?;
        }
        listed.step.carry_out(child)?;
    }
    Ok(())
}
