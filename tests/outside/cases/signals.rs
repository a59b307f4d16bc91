//! Signals that are sent to mydocker: a signal that the command catches reaches it once, a signal that would end it
//! ends it.
//!
//! These cases need not wait to see that nothing else arrives: mydocker takes its signals one after the other, the
//! lower number first, so once a later WINCH has arrived inside, the signal before it has been dealt with.

use crate::support::folder::Folder;
use crate::support::harness::{Running, probe, run, waiting_container};
use crate::support::needs::Needs;
use crate::support::processes::{is_in_call, wait_for_end, wait_until};
use libc::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use rustix::fs::{CWD, FileType, mknodat};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;

const END_SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Starts the probe that treats signals as `how` says, and prints WINCH too.
fn catching(how: &str) -> Running {
    probe(&["-m100m"], &["catch", how, "28"]).start_ready()
}

/// Sends `signal` and then WINCH, and gives everything that arrived inside, without the WINCH.
fn arrived(running: Running, signal: i32) -> Vec<String> {
    running.send(signal);
    running.send(SIGWINCH);
    running.await_output("got 28\n");
    let outcome = running.finish();
    outcome.silent(7);
    let text = outcome.stdout_text();
    text.lines().filter(|line| line.starts_with("got ") && *line != "got 28").map(String::from).collect()
}

case!(what_would_end_a_process_ends_the_container, Needs::NAMESPACES);
fn what_would_end_a_process_ends_the_container() {
    for signal in END_SIGNALS {
        let running = waiting_container(&[]);
        let inside = running.command_pid();
        running.send(signal);
        let outcome = running.finish_with_stdin_open();
        assert_eq!(outcome.code(), 128 + signal, "{outcome:?}");
        assert_eq!(outcome.stderr_text(), "", "{outcome:?}");
        assert!(wait_for_end(inside), "the command is gone");
    }
}

case!(whatever_else_would_end_a_process_does, Needs::NAMESPACES);
/// Also those signals that few programs know: mydocker does not end alone, and cleans up.
fn whatever_else_would_end_a_process_does() {
    for options in [&[][..], &["--init"]] {
        for signal in [4, 5, 6, 7, 8, 11, 14, 16, 24, 25, 26, 27, 29, 30, 31, 37, 63, 64] {
            let running = waiting_container(options);
            let inside = running.command_pid();
            running.send(signal);
            let outcome = running.finish_with_stdin_open();
            assert_eq!(outcome.code(), 128 + signal, "{outcome:?}");
            assert_eq!(outcome.stderr_text(), "", "{outcome:?}");
            assert!(wait_for_end(inside), "the command is gone");
        }
    }
}

case!(sleep_ends_at_once, Needs::NAMESPACES | Needs::SLEEP | Needs::MEMORY);
fn sleep_ends_at_once() {
    for signal in END_SIGNALS {
        let running = run(&["-t", "-m", "100m"], &["sleep", "100000"]).start();
        // The command prints nothing: it runs once the name of the process has changed, which execve does.
        crate::support::processes::wait_until("sleep runs", || {
            let children = crate::support::processes::children(running.pid);
            children.first().is_some_and(|pid| {
                let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                comm.trim() == "sleep" || comm.trim() == "busybox"
            })
        });
        running.send(signal);
        let outcome = running.finish();
        assert_eq!(outcome.code(), 128 + signal, "{outcome:?}");
    }
}

case!(a_shell_ends_at_once, Needs::NAMESPACES | Needs::SH);
fn a_shell_ends_at_once() {
    let mut running = run(&[], &["sh"]).start();
    running.write_stdin(b"echo read$((1+1))\n");
    running.await_output("read2");
    running.send(SIGTERM);
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 128 + SIGTERM, "{outcome:?}");
}

case!(a_caught_signal_arrives_once, Needs::NAMESPACES | Needs::MEMORY);
fn a_caught_signal_arrives_once() {
    for signal in END_SIGNALS {
        assert_eq!(arrived(catching(&signal.to_string()), signal), [format!("got {signal}")]);
    }
}

case!(a_caught_signal_is_never_made_worse, Needs::NAMESPACES | Needs::MEMORY);
/// The same signal several times: the command stays alive and gets each.
fn a_caught_signal_is_never_made_worse() {
    let running = catching("15");
    for round in 1..=5 {
        running.send(SIGTERM);
        running.await_output(&"got 15\n".repeat(round));
    }
    assert_eq!(arrived(running, SIGUSR2), ["got 15"; 5]);
}

case!(an_ignored_signal_changes_nothing, Needs::NAMESPACES | Needs::MEMORY);
fn an_ignored_signal_changes_nothing() {
    for signal in END_SIGNALS {
        assert_eq!(arrived(catching(&format!("i{signal}")), signal), [""; 0], "signal {signal}");
    }
}

case!(a_blocked_signal_arrives, Needs::NAMESPACES | Needs::MEMORY);
/// A command that blocks a signal and takes it with sigwait or signalfd has no handler, and still expects it.
fn a_blocked_signal_arrives() {
    for signal in END_SIGNALS {
        assert_eq!(arrived(catching(&format!("b{signal}")), signal), [format!("got {signal}")]);
    }
}

case!(a_signal_that_is_blocked_for_a_moment, Needs::NAMESPACES);
/// Shells and Python block all signals while they start a program. What is sent to a PID 1 meanwhile the kernel discards afterwards.
fn a_signal_that_is_blocked_for_a_moment() {
    for round in 0..5 {
        let running = probe(&["--no-limits"], &["start-programs"]).start_ready();
        std::thread::sleep(std::time::Duration::from_millis(round));
        running.send(SIGTERM);
        assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGTERM);
    }
}

probe!("start-programs", |_| {
    println!("ready");
    // Longer than anybody waits for it.
    for _ in 0..100_000 {
        // SAFETY: a signal set is plain data, and without CLONE_VM the child has memory of its own, in which it only sleeps
        let pid = unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
            let flags = libc::CLONE_VFORK | libc::SIGCHLD;
            let pid = libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize);
            if pid == 0 {
                libc::usleep(6000);
                libc::_exit(0);
            }
            libc::sigprocmask(libc::SIG_UNBLOCK, &all, std::ptr::null_mut());
            pid as i32
        };
        // SAFETY: the status is not asked for
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
});

case!(what_nohup_ignores_ends_nothing, Needs::NAMESPACES);
/// A signal that the caller of mydocker ignores reaches a command that catches it, and does not end one that does not.
fn what_nohup_ignores_ends_nothing() {
    for options in [&[][..], &["--init"]] {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2] {
            let ignore = move || {
                // SAFETY: SIG_IGN is no handler, so signal stores two integers
                unsafe { libc::signal(signal, libc::SIG_IGN) };
                Ok(())
            };
            let start = |how: &str| probe(options, &["catch", how, "28"]).before(ignore).start_ready();
            assert_eq!(arrived(start(&signal.to_string()), signal), [format!("got {signal}")], "{options:?}");
            assert_eq!(arrived(start("10"), signal), [""; 0], "{options:?} signal {signal}");
        }
    }
}

case!(what_nohup_ignores_ends_no_start, Needs::NAMESPACES);
/// Here mydocker waits for room in the pipe of `--pid-file`, before the command has begun.
fn what_nohup_ignores_ends_no_start() {
    let folder = Folder::new();
    let path = folder.text("fifo");
    mknodat(CWD, path.as_str(), FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    let mut fifo =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("the pipe");
    while fifo.write(&[b'x'; 4096]).is_ok() {}
    let ignore = || {
        // SAFETY: SIG_IGN is no handler, so signal stores two integers
        unsafe { libc::signal(SIGTERM, libc::SIG_IGN) };
        Ok(())
    };
    let option = format!("--pid-file={path}");
    let starting = probe(&[&option], &["status", "3"]).before(ignore).start();
    wait_until("it waits", || is_in_call(starting.pid, libc::SYS_ppoll));
    starting.send(SIGTERM);
    // Whatever it does with that it does at once.
    std::thread::sleep(std::time::Duration::from_millis(50));
    while matches!(fifo.read(&mut [0; 4096]), Ok(n) if n > 0) {}
    starting.finish().silent(3);
    // One that nobody ignores ends it.
    while fifo.write(&[b'x'; 4096]).is_ok() {}
    let starting = probe(&[&option], &["status", "3"]).start();
    wait_until("it waits", || is_in_call(starting.pid, libc::SYS_ppoll));
    starting.send(SIGTERM);
    assert_eq!(starting.finish().code(), 128 + SIGTERM);
}

case!(whatever_is_caught_arrives, Needs::NAMESPACES);
/// All signals that can be caught, except those that are mydocker's own business, as docker has it.
fn whatever_is_caught_arrives() {
    const NOT_FORWARDED: [i32; 8] = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGCHLD,
        libc::SIGPIPE,
        libc::SIGURG,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    // The C library keeps the first ones after 31 for itself: signal(7). musl has three.
    let first = if cfg!(target_env = "musl") { 35 } else { 34 };
    let signals: Vec<i32> = (1..32).chain(first..=64).filter(|n| !NOT_FORWARDED.contains(n)).collect();
    for options in [&["--init"][..], &[]] {
        let words: Vec<String> = signals.iter().map(i32::to_string).collect();
        let mut all = vec!["catch"];
        all.extend(words.iter().map(String::as_str));
        let running = probe(options, &all).start_ready();
        for signal in &signals {
            running.send(*signal);
            running.await_output(&format!("got {signal}\n"));
        }
        running.finish().silent(7);
    }
}

case!(the_harmless_ones_are_passed_on, Needs::NAMESPACES | Needs::MEMORY);
fn the_harmless_ones_are_passed_on() {
    for signal in [SIGUSR1, SIGUSR2, SIGCONT] {
        assert_eq!(arrived(catching(&signal.to_string()), signal), [format!("got {signal}")]);
    }
    // WINCH itself, which marks the end in the other cases.
    assert_eq!(arrived(catching("15"), SIGWINCH), [""; 0]);
}

case!(a_harmless_signal_that_nobody_wants_ends_nothing, Needs::NAMESPACES | Needs::MEMORY);
/// USR1 would end an ordinary process; PID 1 is not harmed, and mydocker must not end it either.
fn a_harmless_signal_that_nobody_wants_ends_nothing() {
    for signal in [SIGUSR1, SIGUSR2, SIGCONT] {
        assert_eq!(arrived(catching("15"), signal), [""; 0], "signal {signal}");
    }
}

case!(a_signal_in_the_hosts_pids, Needs::NAMESPACES);
fn a_signal_in_the_hosts_pids() {
    let running = waiting_container(&["--pid", "host"]);
    running.send(SIGTERM);
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 128 + SIGTERM, "{outcome:?}");
    let running = probe(&["--pid", "host"], &["catch", "15", "28"]).start_ready();
    assert_eq!(arrived(running, SIGTERM), ["got 15"]);
}

case!(a_signal_that_the_caller_blocked_still_works, Needs::NAMESPACES);
/// The caller of mydocker may have TERM blocked; the container must still be stoppable.
fn a_signal_that_the_caller_blocked_still_works() {
    let block = || {
        // SAFETY: the set lives in this frame; the calls change the mask of the new process
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, SIGTERM);
            libc::sigaddset(&mut set, libc::SIGCHLD);
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        Ok(())
    };
    let running = probe(&[], &["hold"]).before(block).start_ready();
    running.send(SIGTERM);
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 128 + SIGTERM, "{outcome:?}");
    probe(&[], &["status", "5"]).before(block).finish().silent(5);
}

case!(a_signal_during_the_start_is_not_lost, Needs::NAMESPACES | Needs::MEMORY);
/// The signal is sent once, at any moment: before mydocker handles signals it ends mydocker itself, later it ends the
/// container. Standard input stays open, so nothing else can end it.
fn a_signal_during_the_start_is_not_lost() {
    for round in 0..200 {
        let running = probe(&["-m100m"], &["hold"]).start();
        std::thread::sleep(std::time::Duration::from_micros(round * 50));
        running.send(SIGTERM);
        let outcome = running.reap_with_stdin_open();
        let ended = outcome.status.signal() == Some(SIGTERM) || outcome.status.code() == Some(128 + SIGTERM);
        assert!(ended, "{outcome:?}");
        assert_eq!(outcome.stderr_text(), "", "{outcome:?}");
    }
}

case!(processes_below_the_command_end_too, Needs::NAMESPACES | Needs::SH);
fn processes_below_the_command_end_too() {
    let mut running = run(&[], &["sh"]).start();
    running.write_stdin(b"sleep 100000 & sleep 100000 & echo read$((1+1))\n");
    running.await_output("read2");
    running.send(SIGTERM);
    // Both children of the shell hold its standard output open: the output ends with the later of them.
    let outcome = running.finish_with_stdin_open();
    assert_eq!(outcome.code(), 128 + SIGTERM, "{outcome:?}");
}

case!(a_command_in_many_groups, Needs::ROOT);
/// Its status in /proc is longer than what is read of it at once.
fn a_command_in_many_groups() {
    let in_groups = || {
        let groups: Vec<libc::gid_t> = (100_000..101_500).collect();
        // SAFETY: the kernel reads as many group ids as it is told
        match unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let run = probe(&["--no-limits", "--userns", "host", "--privileged"], &["catch", "15"]).before(in_groups);
    let container = run.start_ready();
    container.send(libc::SIGTERM);
    container.await_output("got 15");
    assert_eq!(container.finish().code(), 7);
}
