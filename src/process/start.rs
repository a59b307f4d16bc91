//! The parent, up to the moment when the command is let go.

use super::child;
use crate::error::{Errno, Result};
use crate::plan::Plan;
use crate::signals;
use crate::step::{Child, Own, Parent, Pipes, Stop, User};
use crate::sys;
use crate::sys::trace::{self, Who};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The state that the steps of the parent share, with that of the child in it, before the first step. What it holds open is
/// closed by the end of the process.
pub fn parent(plan: &Plan, stops: Option<&'static dyn Stop>) -> &'static mut Parent {
    Box::leak(Box::new(Parent {
        pipes: Pipes::default(),
        signals: None,
        ending: signals::ENDING,
        pid: None,
        is_held: false,
        go: None,
        created: Vec::new(),
        cid_file: None,
        pid_file: None,
        stats_file: None,
        records: None,
        bridge: 0,
        address: None,
        filter: None,
        slirp: None,
        hosts_file: None,
        ports: Vec::new(),
        listeners: Vec::new(),
        relay: None,
        guard: None,
        record: None,
        unsaid: Vec::new(),
        child: Child {
            steps: plan.child,
            is_rehearsal: false,
            stops,
            successor: None,
            has_appeared: false,
            pipes: Pipes::default(),
            born_in_cgroup: false,
            image: None,
            old_root_on_top: false,
            proc: None,
            outer_proc: None,
            own: Own::default(),
            workdir_is_users: false,
            user: if plan.spec.user.is_some() { User::with_room() } else { User::default() },
            terminal: None,
            words: alloc::vec![0; plan.parts.words.len()],
        },
        child_main: child::main,
    }))
}

/// Walks the steps of the parent. Where one fails, a child that waits for the command sees the end of the pipe.
pub fn walk(plan: &Plan, parent: &mut Parent) -> Result<()> {
    let walked = plan.parent.iter().zip(1..).try_for_each(|(listed, at)| {
        trace::begin_step(Who::Parent, listed.purpose);
        if let Some(stops) = parent.child.stops {
            stops.before("parent", at, listed.purpose)?;
        }
        listed.step.carry_out(parent)
    });
    if let Some(stops) = parent.child.stops {
        stops.turn_to_child();
    }
    // A child that waits for the command after all must see the end of the pipe; one that has it already must not.
    drop(parent.pipes.command_write.take());
    if parent.go.is_some() {
        parent.hold();
    }
    match (walked, &parent.pipes.error_read) {
        // A child that has ended has said why on the other pipe.
        (Err(e), Some(pipe))
            if parent.pid.is_some() && !parent.child.has_appeared && e.is_one_of(&[Errno::EPIPE, Errno::ESRCH]) =>
        {
            Err(sys::receive_error(pipe.borrow()).ok().flatten().unwrap_or(e))
        }
        (walked, _) => walked,
    }
}
