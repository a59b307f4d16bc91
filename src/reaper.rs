//! `--init`: a PID 1 that does what the kernel expects of one. It passes signals on, reaps orphans, and ends when the
//! command ends. It is the child after one more fork: no exec, no second file.

use crate::sys::{self, Pid, SigSet, Wait};

/// Looks after the command, forever.
pub fn main(command: Pid) -> ! {
    // The pipes' ends and everything else that is not a stream: open here, nobody would see them close.
    if sys::close_from(3).is_err() {
        sys::exit_group(125);
    }
    loop {
        let Ok(signal) = sys::wait_for_signal(SigSet::all()) else { continue };
        if signal != libc::SIGCHLD {
            // ESRCH: it has ended, and SIGCHLD comes next.
            if sys::kill(command, signal).is_err() {}
            continue;
        }
        while let Ok(Some((pid, how))) = sys::wait_any(false) {
            if pid == command {
                sys::exit_group(match how {
                    Wait::Exited(status) => status,
                    Wait::Signaled(signal) => 128 + signal,
                });
            }
        }
    }
}
