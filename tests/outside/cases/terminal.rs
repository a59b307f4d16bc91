//! In a terminal, without `-t`: a key that sends a signal reaches mydocker, which passes it on, and the signal must not
//! arrive twice.

use crate::support::harness::probe;
use crate::support::needs::Needs;
use crate::support::user_terminal::in_terminal;
use libc::{SIGINT, SIGQUIT, SIGUSR1};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

case!(a_pressed_key_arrives_once, Needs::NAMESPACES | Needs::TERMINAL);
fn a_pressed_key_arrives_once() {
    for (key, signal) in [(b"\x03", SIGINT), (b"\x1c", SIGQUIT)] {
        let mut terminal = in_terminal(probe(&[], &["catch", &signal.to_string(), "10"]));
        terminal.await_screen("ready");
        terminal.press(key);
        terminal.await_screen(&format!("got {signal}\r\n"));
        // Once USR1 has arrived, mydocker has dealt with the keys.
        terminal.running.await_delivery(signal);
        terminal.running.send(SIGUSR1);
        terminal.await_screen("got 10\r\n");
        assert_eq!(terminal.count(&format!("got {signal}\r\n")), 1, "signal {signal}");
        terminal.press(b"\x04");
        terminal.await_screen("end\r\n");
        assert_eq!(terminal.running.finish_with_stdin_open().code(), 7);
    }
}

case!(a_pressed_key_ends_what_does_not_catch_it, Needs::NAMESPACES | Needs::TERMINAL);
fn a_pressed_key_ends_what_does_not_catch_it() {
    for (key, signal) in [(b"\x03", SIGINT), (b"\x1c", SIGQUIT)] {
        let mut terminal = in_terminal(probe(&[], &["hold"]));
        terminal.await_screen("ready");
        terminal.press(key);
        let outcome = terminal.running.finish_with_stdin_open();
        assert_eq!(outcome.code(), 128 + signal, "{outcome:?}");
    }
}

case!(a_hangup_reaches_the_command, Needs::NAMESPACES | Needs::TERMINAL);
/// When a terminal hangs up, the kernel signals only the leader of its session. If mydocker is that leader, as under
/// `ssh -t HOST mydocker ...` or in a terminal window, it must forward the signal.
fn a_hangup_reaches_the_command() {
    for (how, status, seen) in [("1", 7, "got 1\n"), ("15", 128 + libc::SIGHUP, "")] {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        unlockpt(&keys).expect("unlockpt");
        let name = ptsname(&keys, Vec::new()).expect("ptsname");
        let lead = move || {
            // SAFETY: the calls take integers, and open a NUL-terminated string that this closure owns. The first
            // terminal that a session leader opens becomes its controlling terminal; it stays open in mydocker.
            let done = unsafe { libc::setsid() >= 0 && libc::open(name.as_ptr(), libc::O_RDWR) >= 0 };
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        let running = probe(&[], &["catch", how]).before(lead).start_ready();
        drop(keys);
        if !seen.is_empty() {
            running.await_output(seen);
            assert_eq!(running.finish().code(), status);
        } else {
            assert_eq!(running.finish_with_stdin_open().code(), status);
        }
    }
}

case!(a_signal_from_elsewhere_is_still_passed_on, Needs::NAMESPACES | Needs::TERMINAL);
/// The same signal, sent to mydocker alone: only mydocker can deliver it to the command.
fn a_signal_from_elsewhere_is_still_passed_on() {
    let mut terminal = in_terminal(probe(&[], &["catch", "2"]));
    terminal.await_screen("ready");
    terminal.running.send(SIGINT);
    terminal.await_screen("got 2\r\n");
    terminal.press(b"\x04");
    terminal.await_screen("end\r\n");
    assert_eq!(terminal.running.finish_with_stdin_open().code(), 7);
}
