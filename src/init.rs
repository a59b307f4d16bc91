//! `--init`: a PID 1 that does what the kernel expects of one. It forwards signals, reaps orphans, and ends when the command
//! ends. It is the child after one more fork: no exec, no second file.

use crate::error::Result;
use crate::signals;
use crate::step::{Child, ChildStep};
use crate::sys::trace::{self, Who};
use crate::sys::{self, CloneFlags, Pid, SigSet, Signal, Wait};

/// The reaper tells the command with this signal that it may go on.
const GO: i32 = libc::SIGCONT;

step! {
    /// Forks: PID 1 reaps from here on, and its child goes on as the command, in a group of its own.
    pub struct BecomeInit {
        /// The command has a terminal, whose foreground group it is to be.
        pub has_terminal: bool,
        /// The signals that mydocker's caller ignores.
        pub ignored: SigSet,
    }
}

impl ChildStep for BecomeInit {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // With everything blocked, no signal is lost between the fork and the first wait.
        sys::set_signal_mask(SigSet::ALL)?;
        if self.has_terminal {
            // The terminal got its size while this process was alone in its foreground. Setting a signal to its default, where
            // that is to ignore it, discards one that is pending: otherwise it would be passed on, as news to the command.
            sys::reset_signal(libc::SIGWINCH)?;
        }
        if let Some(command) = sys::fork(CloneFlags::NONE)? {
            trace::set_who(Who::Reaper);
            // Close our copies of the pipes, or the parent never sees that the command has closed them. The command could also
            // open them in /proc/1/fd, and mydocker's own file as /proc/1/exe, to write to it later (CVE-2019-5736): so the
            // command waits until this process is not dumpable.
            sys::close_all_but(3, child.pipes.error_write.as_ref().map(sys::Fd::borrow).as_slice())?;
            sys::set_not_dumpable()?;
            // What is for the whole group of the command is not for this process.
            sys::lead_group(command)?;
            sys::kill(command, GO)?;
            drop(child.pipes.error_write.take());
            reap_until_the_end_of(command, self.ignored);
        }
        // The end of PID 1 ends its whole namespace. With --pid host the reaper is not PID 1, so the command must ask for
        // SIGKILL.
        sys::die_with_parent()?;
        sys::wait_for_signal(SigSet::of(&[GO]))?;
        if self.has_terminal { sys::to_foreground(sys::getpid()) } else { Ok(()) }
    }
}

/// Looks after the command, forever.
fn reap_until_the_end_of(command: Pid, ignored: SigSet) -> ! {
    loop {
        match sys::wait_for_signal(SigSet::ALL) {
            // What the caller ignores ends no command, but one that does something with it gets it.
            Ok(signal) if ignored.has(signal.number) && !signals::heeds(command, signal.number) => {}
            Ok(signal) if signal.number != libc::SIGCHLD => forward(signal, command),
            Ok(_) => reap(command),
            Err(_) => end_with(sys::wait4(command, true)),
        }
    }
}

/// Forwards a signal; to the whole group of the command, if mydocker says so with tgkill(2). A stop is sent as SIGSTOP, because
/// the command may ignore SIGTSTP.
fn forward(signal: Signal, command: Pid) {
    let forwarded = match signal.number {
        number if signal.is_from_tgkill() => sys::kill_group(command, number),
        signals::STOP | libc::SIGTSTP => sys::stop_group(command),
        number => sys::kill(command, number),
    };
    match forwarded {
        // It fails if the command has ended; then SIGCHLD comes next.
        Ok(()) | Err(_) => {}
    }
}

/// Takes the status of everything that has ended.
fn reap(command: Pid) {
    loop {
        match sys::wait_any(false) {
            Ok(Some((pid, how))) if pid == command => end_with(Ok(Some(how))),
            Ok(Some(_)) => {}
            Ok(None) => return,
            // The orphans are lost; the end of the command must not be missed.
            Err(_) => end_with(sys::wait4(command, true)),
        }
    }
}

/// Ends as the command has ended.
fn end_with(how: Result<Option<Wait>>) -> ! {
    sys::exit_group(match how {
        Ok(Some(Wait::Exited(status))) => status,
        Ok(Some(Wait::Signaled(signal))) => 128 + signal,
        Ok(None) | Err(_) => 125,
    })
}
