//! `--init`: a PID 1 that does what the kernel expects of one. It passes signals on, reaps orphans, and ends when the
//! command ends. It is the child after one more fork: no exec, no second file.

use crate::sys::{self, Pid, SigSet, Signal, Wait};

/// What a terminal has sent to the whole group, the command has already; and a stop must hold whatever it does with
/// SIGTSTP. If the command has ended, SIGCHLD comes next.
fn pass_on(signal: Signal, command: Pid) {
    let number = if signal.number == libc::SIGTSTP { libc::SIGSTOP } else { signal.number };
    if !(signal.from_kernel && sys::same_group(command))
        && let Err(_ended) = sys::kill(command, number)
    {}
}

/// Looks after the command, forever.
pub fn main(command: Pid) -> ! {
    // The pipes' ends and everything else that is not a stream: open here, nobody would see them close.
    if sys::close_from(3).is_err() {
        sys::exit_group(125);
    }
    // Whatever holds /proc/1/exe holds mydocker's own file, and could write to it one day (CVE-2019-5736).
    if sys::hide_from_proc().is_err() {
        sys::exit_group(125);
    }
    loop {
        let Ok(signal) = sys::wait_for_signal(SigSet::all()) else { continue };
        if signal.number != libc::SIGCHLD {
            pass_on(signal, command);
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
