//! The two processes of a run, from the first step to the last: start, child, supervise, cleanup.

pub mod child;
pub mod cleanup;
mod ending;
pub mod keep;
mod list;
pub mod named;
pub mod order;
mod pause;
pub mod rehearse;
pub mod sealed;
pub mod shown;
pub mod start;
pub mod stats;
pub mod stops;
pub mod supervise;
mod table;
mod usage;
pub mod verbs;

use crate::error::{Error, Result};
use crate::network::bridge::Bridge;
use crate::network::{self, guard, names};
use crate::plan::Plan;
use crate::root::create;
use crate::spec::StatsTo;
use crate::state::{self, End};
use crate::step::Stop;
use crate::sys::trace::{self, Phase};
use crate::sys::{self, FdRef, Wait};
use crate::userns;
use alloc::vec::Vec;
use stats::{Begun, Ending};
use supervise::Supervisor;

/// The record of `--stats`, and the file that it goes to; `None`: stderr.
pub struct Report {
    file: Option<sys::Fd>,
    record: Vec<u8>,
}

/// What a run has beside its result.
#[derive(Default)]
pub struct Beside {
    report: Option<Report>,
    /// The signal that has asked for the end while the run lasted.
    pub end_signal: Option<i32>,
}

/// Carries out the plan, prints the error and the record of `--stats`, and returns the exit status.
pub fn run(plan: &Plan, stops: Option<&'static dyn Stop>, begun: Option<Begun>) -> i32 {
    let mut beside = Beside::default();
    let status = carry_out(plan, stops, begun, &mut beside).unwrap_or_else(|error| {
        sys::say(error);
        error.status()
    });
    if let Some(Report { file, record }) = beside.report {
        let fd = file.as_ref().map_or(FdRef::STDERR, sys::Fd::borrow);
        if let Err(error) = sys::write_last(fd, &record) {
            sys::say(error.about(b"--stats"));
        }
    }
    status
}

/// Carries out the plan and returns the exit status. An error means that the command was not executed. Either way nothing is
/// left on the host. `begun`: the clocks at the start, if a record of `--stats` is wanted.
pub fn carry_out(
    plan: &Plan,
    stops: Option<&'static dyn Stop>,
    begun: Option<Begun>,
    beside: &mut Beside,
) -> Result<i32> {
    let mut spared_children = if plan.spec.host_pid { cleanup::own_children() } else { Vec::new() };
    let parent = start::parent(plan, stops);
    let started = start::walk(plan, parent);
    // The relay, the guard of the bridge and slirp4netns end by themselves.
    spared_children.extend(parent.relay);
    spared_children.extend(parent.guard.as_ref().map(|(pid, ..)| *pid));
    spared_children.extend(parent.slirp.as_ref().map(|(pid, _)| *pid));
    let mut supervisor = Supervisor::new(plan, parent, spared_children);

    // Until execve has worked, an error is the result; from then on the command's status is, and an error only a warning
    // beside it.
    let mut started = started.and_then(|()| supervisor.await_exec(parent));
    // In the foreground the status tells whether the child ended before execve. Only the record and --stats need to know it here.
    let is_told = plan.spec.detach || begun.is_some();
    let executed = started.is_ok() && !(is_told && supervisor.has_ended_before_execve());
    let mut executed_at = None;
    let mut noted = Ok(());
    let mut written_to = None;
    let mut followed = Ok(());
    if executed {
        trace::show_execve();
        executed_at = begun.as_ref().map(|_| sys::monotonic());
        if let (Some(_), Some(pid), Some(root)) = (&begun, parent.pid, plan.parts.root)
            && root.writes.is_some()
        {
            written_to = stats::open_root(pid);
        }
        trace::set_phase(Phase::Wait);
        noted = state::note_running(plan.spec, parent);
        // From here on the file of --cidfile stays. Its directory is closed, so that its filesystem can be unmounted.
        let told = keep::tell_front(plan);
        if told.is_ok() {
            parent.cid_file = None;
        }
        if let Err(e) = told {
            // So it is not started again either.
            noted = state::note_unheard(parent);
            started = supervisor.end(parent, true).and(Err(e));
        }
    }
    if started.is_ok() {
        cleanup::sweep(plan);
        state::sweep(parent, cleanup::turn(plan) as usize);
        followed = supervisor.follow();
        // The relay has stopped: hang up, or a process that reads from the terminal waits forever.
        if followed.is_err() {
            supervisor.hang_up_terminal();
        }
    }
    trace::set_phase(Phase::End);
    // A child that creates files in the root reports each one; it exits when the pipe closes. Any other is killed, and so is one
    // that has nothing to report any more.
    let kill = started.is_err() && (!plan.parts.undo_on_failure || parent.child.has_appeared);
    let ended = supervisor.end(parent, kill);
    let restored = supervisor.restore_terminal();
    let memory = cleanup::memory_report(plan);
    if let (Some(line), Some(log)) = (&memory, supervisor.log()) {
        log.note(&[line]);
    }
    let orphans = supervisor.end_orphans();
    // Close our copies, or recvmsg never sees the end.
    drop((parent.pipes.input_send.take(), parent.pipes.undo_send.take()));
    let handed_back = match (&plan.parts.input, &parent.pipes.input_receive) {
        (Some(input), Some(socket)) => input.hand_back(socket.borrow()),
        _ => Ok(()),
    };
    if started.is_err() {
        create::undo(parent);
        if let Some((directory, name)) = &parent.cid_file {
            directory.unlink(name).unwrap_or_else(|e| parent.unsaid.push(e));
        }
    }
    beside.end_signal = supervisor.end_signal();
    let status = started.map_or_else(Error::status, |()| supervisor.status());
    if let (Some(begun), Some(to)) = (begun, plan.spec.stats) {
        let signal = match supervisor.ended() {
            // A child that has not become the command may have been killed by mydocker itself.
            Some(Wait::Signaled(_)) if started.is_ok() => Some(status & 0x7f),
            _ => None,
        };
        let (pid, ports) = (parent.pid, parent.ports.as_slice());
        let ending = Ending { pid, status, signal, executed_at, ports, written_to, error: started.err() };
        // A file that could not be created has ended the run, and has been named.
        if !matches!(to, StatsTo::File(_)) || parent.stats_file.is_some() {
            let record = stats::record(&begun, to, plan, &ending);
            beside.report = Some(Report { file: parent.stats_file.take(), record });
        }
    }
    let unconnected = network::end(parent);
    let own_bridge = plan.parts.bridge;
    let left = names::leave(parent, own_bridge).and(unconnected).and(own_bridge.map_or(Ok(()), Bridge::leave));
    // The guard of the bridge is needed up to here, in case mydocker is killed.
    let left = left.and(parent.guard.take().map_or(Ok(()), |(pid, process, _)| guard::dismiss(pid, &process)));
    let removed = cleanup::remove_groups(plan).and(left);
    let reason = memory.as_ref().map(|_| &state::OUT_OF_MEMORY).or(supervisor.timed_out().then_some(&state::TIMED_OUT));
    let end = End { reason, lost_log: supervisor.has_lost_log(), ..End::of(status) };
    let noted = noted.and(state::note_end(plan.spec, parent, end, executed && started.is_ok()));
    // Only after the groups are removed: if nobody reads stderr, a signal ends mydocker there. The stderr of a keeper is its caller's,
    // or nobody's.
    if let Some(line) = memory.filter(|_| !plan.spec.detach || plan.spec.log.is_callers()) {
        match sys::write_last(FdRef::STDERR, &line) {
            // A stderr that is closed is the caller's choice.
            Ok(()) | Err(_) => {}
        }
    }
    for warning in &parent.unsaid {
        sys::say(*warning);
    }
    started.map_err(|e| if plan.parts.maps.is_some() { userns::explain(e) } else { e })?;
    for late in &[
        supervisor.warning(),
        followed.and(ended),
        supervisor.lost_output(),
        restored,
        handed_back,
        orphans,
        removed,
        noted,
    ] {
        if let Err(error) = late {
            sys::say(*error);
        }
    }
    // The process ends now, and its end closes what is open.
    core::mem::forget(supervisor);
    Ok(status)
}
