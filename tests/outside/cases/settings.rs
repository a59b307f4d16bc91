//! The user's line settings: raw while the command runs, only if standard input is a terminal, and restored on every
//! exit. The user's terminal in these cases has settings that differ from every default.

use crate::support::folder::Folder;
use crate::support::harness::{Run, probe, run};
use crate::support::needs::Needs;
use crate::support::processes::{children, send, state, wait_until};
use crate::support::user_terminal::{InTerminal, UserTerminal, in_terminal};
use libc::{SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP};
use std::os::fd::OwnedFd;

const BOTH: [&[&str]; 2] = [&["-t"], &["-t", "--init"]];

/// Starts the run, waits for `ready`, and checks that the settings are raw; gives the run and the earlier settings.
fn start_raw(run: Run) -> (InTerminal, crate::support::user_terminal::Settings) {
    let terminal = UserTerminal::new();
    let before = terminal.settings();
    assert!(!terminal.is_raw());
    let mut inside = crate::support::user_terminal::in_given_terminal(run, terminal);
    inside.await_screen("ready");
    assert!(inside.terminal.is_raw(), "{:?}", inside.terminal.settings());
    (inside, before)
}

case!(back_after_an_exit, Needs::NAMESPACES | Needs::TERMINAL);
fn back_after_an_exit() {
    for options in BOTH {
        let (inside, before) = start_raw(probe(options, &["catch", "15"]));
        inside.press(b"\x04");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
        assert_eq!(inside.terminal.settings(), before, "{options:?}");
    }
}

case!(back_after_an_error, Needs::NAMESPACES | Needs::TERMINAL);
/// Errors before execve, at every stage; the message begins at the left margin.
fn back_after_an_error() {
    let folder = Folder::new();
    let file = folder.write("not-a-program", b"");
    for options in BOTH {
        for (more, command, status) in [
            (&[][..], "no-such-tool", 127),
            (&[], file.as_str(), 126),
            (&["-w", "/no/such/folder"], "true", 125),
            (&["--cgroup-parent", "/no/such/group", "-m", "50m"], "true", 125),
        ] {
            let options = [options, more].concat();
            let terminal = UserTerminal::new();
            let before = terminal.settings();
            let mut inside = crate::support::user_terminal::in_given_terminal(run(&options, &[command]), terminal);
            inside.await_screen("mydocker: ");
            assert_eq!(inside.running.finish_with_stdin_open().code(), status, "{options:?} {command}");
            assert_eq!(inside.terminal.settings(), before, "{options:?} {command}");
            let screen = inside.terminal.screen();
            assert!(screen.starts_with("mydocker: ") && screen.ends_with("\r\n"), "{screen:?}");
            assert_eq!(screen.matches('\n').count(), 1, "one line: {screen:?}");
        }
    }
}

case!(back_after_a_signal_to_mydocker, Needs::NAMESPACES | Needs::TERMINAL);
fn back_after_a_signal_to_mydocker() {
    for options in BOTH {
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, libc::SIGVTALRM, libc::SIGXCPU, 40] {
            let (inside, before) = start_raw(probe(options, &["hold"]));
            inside.running.send(signal);
            let outcome = inside.running.finish_with_stdin_open();
            assert_eq!(outcome.code(), 128 + signal, "{options:?}");
            assert_eq!(inside.terminal.settings(), before, "{options:?} {signal}");
        }
    }
}

case!(back_after_a_fault_that_someone_sent, Needs::NAMESPACES | Needs::TERMINAL);
/// A watchdog sends SIGABRT. The kernel also sends these signals for faults, but mydocker must not die when another
/// process sends one.
fn back_after_a_fault_that_someone_sent() {
    let faults = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];
    for signal in faults {
        let (inside, before) = start_raw(probe(&["-t"], &["hold"]));
        inside.running.send(signal);
        let outcome = inside.running.finish_with_stdin_open();
        assert_eq!(inside.terminal.settings(), before, "{signal}: {outcome:?}");
        assert_eq!(outcome.code(), 128 + signal);
    }
}

case!(back_after_the_command_was_killed, Needs::NAMESPACES | Needs::TERMINAL);
fn back_after_the_command_was_killed() {
    for options in BOTH {
        for signal in [SIGKILL, SIGTERM] {
            let (inside, before) = start_raw(probe(options, &["catch", "10"]));
            let first = inside.running.command_pid();
            let command = children(first).first().copied().unwrap_or(first);
            send(command, signal);
            if command == first && signal == SIGTERM {
                // The kernel does not deliver it to a PID 1 without a handler.
                send(command, SIGKILL);
            }
            let expected = if command == first { SIGKILL } else { signal };
            assert_eq!(inside.running.finish_with_stdin_open().code(), 128 + expected, "{options:?}");
            assert_eq!(inside.terminal.settings(), before, "{options:?}");
        }
    }
    // The signal goes to the reaper itself.
    let (inside, before) = start_raw(probe(&["-t", "--init"], &["hold"]));
    send(inside.running.command_pid(), SIGKILL);
    assert_eq!(inside.running.finish_with_stdin_open().code(), 128 + SIGKILL);
    assert_eq!(inside.terminal.settings(), before);
}

case!(back_when_the_command_left_its_own_a_mess, Needs::NAMESPACES | Needs::TERMINAL);
fn back_when_the_command_left_its_own_a_mess() {
    let (inside, before) = start_raw(probe(&["-t"], &["mirror", "1"]));
    inside.press(b"x");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
    assert_eq!(inside.terminal.settings(), before);
}

case!(back_while_stopped_and_raw_again, Needs::NAMESPACES | Needs::TERMINAL);
fn back_while_stopped_and_raw_again() {
    for options in BOTH {
        let (mut inside, before) = start_raw(probe(options, &["catch", "18", "12"]));
        let first = inside.running.command_pid();
        let command = children(first).first().copied().unwrap_or(first);
        for round in 1..=3 {
            inside.running.send(SIGTSTP);
            wait_until("mydocker stops", || state(inside.running.pid) == Some('T'));
            assert_eq!(inside.terminal.settings(), before, "{options:?} round {round}: stopped");
            wait_until("the command stops too", || state(command) == Some('T'));
            inside.running.send(SIGCONT);
            wait_until("raw again", || inside.terminal.is_raw());
            inside.await_screen(&"got 18\r\n".repeat(round));
            assert_ne!(state(command), Some('T'), "{options:?}");
        }
        inside.running.send(libc::SIGUSR2);
        inside.await_screen("got 12\r\n");
        assert_eq!(inside.count("got 18\r\n"), 3, "{options:?}: the message appears once each time");
        inside.press(b"\x04");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
        assert_eq!(inside.terminal.settings(), before, "{options:?}");
    }
}

case!(raw_again_after_a_stop_that_nobody_can_see, Needs::NAMESPACES | Needs::TERMINAL);
/// SIGSTOP cannot be caught: the settings stay raw. The shell sets its own meanwhile; mydocker sets raw mode again.
fn raw_again_after_a_stop_that_nobody_can_see() {
    let terminal = UserTerminal::new();
    let shells = terminal.termios();
    let mut inside = crate::support::user_terminal::in_given_terminal(probe(&["-t"], &["echo"]), terminal);
    wait_until("raw", || inside.terminal.is_raw());
    let before = inside.terminal.settings();
    inside.running.send(SIGSTOP);
    wait_until("mydocker stops", || state(inside.running.pid) == Some('T'));
    inside.terminal.set(&shells);
    inside.running.send(SIGCONT);
    wait_until("raw again", || inside.terminal.settings() == before);
    inside.press(b"line\n");
    inside.await_screen("line\r\nline\r\n");
    inside.press(b"\x04");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
}

fn null() -> OwnedFd {
    std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into()
}

case!(untouched_without_a_terminal_on_stdin, Needs::NAMESPACES | Needs::TERMINAL);
fn untouched_without_a_terminal_on_stdin() {
    let mut terminal = UserTerminal::new();
    let before = terminal.settings();
    let (stdin, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
    let run = probe(&["-t"], &["hold"]).before(UserTerminal::lead_session(1));
    let running = run.start_on([stdin, terminal.stream(), terminal.stream()]);
    terminal.await_screen("ready");
    assert_eq!(terminal.settings(), before, "while it runs");
    drop(writer);
    assert_eq!(running.finish_with_stdin_open().code(), 0);
    assert_eq!(terminal.settings(), before);
    // If the streams are no terminals, there are no settings to change, and that is no error.
    assert_eq!(probe(&["-t"], &["status", "4"]).start_on([null(), null(), null()]).finish_with_stdin_open().code(), 4);
}

case!(untouched_without_t, Needs::NAMESPACES | Needs::TERMINAL);
fn untouched_without_t() {
    let before = UserTerminal::new().settings();
    let mut inside = in_terminal(probe(&[], &["hold"]));
    inside.await_screen("ready");
    assert_eq!(inside.terminal.settings(), before);
    inside.press(b"\x04");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
    assert_eq!(inside.terminal.settings(), before);
}
