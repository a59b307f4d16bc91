//! The exit status: the command's own, or 128 + the signal that ended it.

use crate::support::harness::{probe, run, waiting_container};
use crate::support::needs::{Needs, every};
use crate::support::processes::send;

case!(every_status_from_0_to_255, Needs::NAMESPACES);
fn every_status_from_0_to_255() {
    for status in every(16, &(0..=255).collect::<Vec<i32>>()) {
        probe(&[], &["status", &status.to_string()]).finish().silent(status);
    }
}

case!(faults_of_the_command, Needs::NAMESPACES);
/// The kernel does not deliver signals without a handler to PID 1, except for faults of its own.
fn faults_of_the_command() {
    for (name, signal) in
        [("segv", libc::SIGSEGV), ("bus", libc::SIGBUS), ("ill", libc::SIGILL), ("trap", libc::SIGTRAP)]
    {
        probe(&[], &["fault", name]).before(no_core).finish().silent(128 + signal);
    }
}

case!(a_kill_from_outside, Needs::NAMESPACES);
fn a_kill_from_outside() {
    let running = waiting_container(&[]);
    send(running.command_pid(), libc::SIGKILL);
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 128 + libc::SIGKILL, "{outcome:?}");
    // No process ran out of memory, so no message may say so.
    assert_eq!(outcome.stderr_text(), "", "{outcome:?}");
}

case!(a_shells_status, Needs::NAMESPACES | Needs::SH);
fn a_shells_status() {
    run(&["-t"], &["sh", "-c", "exit 19"]).finish().silent(19);
    // A command of the shell, not PID 1: the shell itself reports 128 + 15.
    run(&[], &["sh", "-c", "sh -c 'kill -TERM $$' 2>/dev/null; exit $?"]).finish().silent(128 + libc::SIGTERM);
}

case!(a_status_like_mydockers_own_is_silent, Needs::NAMESPACES | Needs::MEMORY);
fn a_status_like_mydockers_own_is_silent() {
    for status in [125, 126, 127, 137, 143] {
        probe(&["-t", "-m", "100m"], &["status", &status.to_string()]).finish().silent(status);
    }
}

case!(signals_that_end_it_in_the_hosts_pids, Needs::NAMESPACES);
/// In the host's PID namespace the command is an ordinary process, and any signal ends it.
fn signals_that_end_it_in_the_hosts_pids() {
    for signal in [1, 2, 3, 6, 9, 10, 13, 14, 15, 40] {
        let run = probe(&["--pid", "host"], &["kill-self", &signal.to_string()]);
        run.before(no_core).finish().silent(128 + signal);
    }
}

/// No core file in the working directory of the tests.
fn no_core() -> std::io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: setrlimit reads one struct, which lives in this frame
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    Ok(())
}
