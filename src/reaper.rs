//! `--init`: a PID 1 that does what the kernel expects of one. It passes signals on, reaps orphans, and ends when the
//! command ends. It is the child after one more fork: no exec, no second file.

use crate::error::Result;
use crate::signals;
use crate::sys::{self, Pid, SigSet, Signal, Wait};

/// What a terminal has sent to the whole group, the command has already; and a stop must hold whatever it does with
/// SIGTSTP. If the command has ended, SIGCHLD comes next.
fn pass_on(signal: Signal, command: Pid) {
    let passed = match signal.number {
        _ if signal.from_kernel && sys::same_group(command) => Ok(()),
        signals::STOP | libc::SIGTSTP => sys::stop(command, libc::SIGSTOP, sys::has_stopped),
        number => sys::kill(command, number).map(drop),
    };
    if let Err(_ended) = passed {}
}

/// Looks after the command, forever.
pub fn main(command: Pid) -> ! {
    loop {
        match sys::wait_for_signal(SigSet::all()) {
            Ok(signal) if signal.number != libc::SIGCHLD => pass_on(signal, command),
            Ok(_) => reap(command),
            Err(_) => end_with(sys::wait4(command, true)),
        }
    }
}

/// Takes the status of everything that has ended.
fn reap(command: Pid) {
    loop {
        match sys::wait_any(false) {
            Ok(Some((pid, how))) if pid == command => end_with(Ok(Some(how))),
            Ok(Some(_)) => {}
            Ok(None) => return,
            // Without a look at the others; the command's end must not be missed.
            Err(_) => end_with(sys::wait4(command, true)),
        }
    }
}

/// Ends as the command did.
fn end_with(how: Result<Option<Wait>>) -> ! {
    sys::exit_group(match how {
        Ok(Some(Wait::Exited(status))) => status,
        Ok(Some(Wait::Signaled(signal))) => 128 + signal,
        Ok(None) | Err(_) => 125,
    })
}
