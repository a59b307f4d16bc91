//! `--init`: mydocker's own PID 1. It forwards signals, reaps orphans, and ends when the command ends.

use crate::support::folder::Folder;
use crate::support::harness::{
    Running, mydocker_at, mydocker_file, probe, probe_file, probe_words, run, waiting_container,
};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::{children, send, state, wait_for_end, wait_until};
use crate::support::user_terminal::in_terminal;
use libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;

const BOTH: [&[&str]; 2] = [&["--init"], &["--init", "-t"]];

/// The host's pids of PID 1 and of the command.
fn pids(running: &Running) -> (i32, i32) {
    let reaper = running.command_pid();
    let commands = children(reaper);
    assert_eq!(commands.len(), 1, "one child of the reaper");
    (reaper, commands[0])
}

case!(the_command_is_its_child, Needs::ROOT);
fn the_command_is_its_child() {
    for options in BOTH {
        assert_eq!(probe(options, &["pids"]).finish().success().trim_end(), "2 1", "{options:?}");
        let running = waiting_container(options);
        let (reaper, command) = pids(&running);
        let file = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).expect("exe");
        // PID 1 still runs the mydocker file: it did not execute anything.
        assert_eq!(file(reaper), mydocker_file().canonicalize().expect("the file under test"));
        assert_eq!(file(command), probe_file());
        let words = |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).expect("cmdline");
        assert_eq!(words(reaper), words(running.pid));
        assert_eq!(running.finish().code(), 0);
    }
}

case!(without_it_the_command_is_pid_1, Needs::NAMESPACES);
fn without_it_the_command_is_pid_1() {
    assert_eq!(probe(&[], &["pids"]).finish().success(), "1 0\n");
    assert_eq!(probe(&["-t"], &["pids"]).finish().success(), "1 0\r\n");
}

case!(it_reaps_orphans, Needs::NAMESPACES);
fn it_reaps_orphans() {
    for options in BOTH {
        assert_eq!(probe(options, &["orphans", "20"]).finish().success().trim_end(), "0 left", "{options:?}");
    }
    // A command that does not reap adopted children shows that the case can detect zombies.
    assert_eq!(probe(&[], &["orphans", "20"]).finish().success(), "20 left\n");
}

case!(it_passes_signals_on_once, Needs::NAMESPACES);
fn it_passes_signals_on_once() {
    for options in BOTH {
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT] {
            for how in ["", "b"] {
                let mark = if signal == SIGUSR1 { SIGUSR2 } else { SIGUSR1 };
                let running = probe(options, &["catch", &format!("{how}{signal}"), &mark.to_string()]).start_ready();
                running.send(signal);
                let got = |signal| format!("got {signal}{}\n", if options.contains(&"-t") { "\r" } else { "" });
                running.await_output(&got(signal));
                running.await_delivery(signal);
                running.send(mark);
                let seen = running.await_output(&got(mark));
                assert_eq!(seen.matches(&got(signal)).count(), 1, "{options:?}: {seen}");
                assert_eq!(running.finish().code(), 7);
            }
        }
    }
    let running = probe(&["--init"], &["catch", "28"]).start_ready();
    running.send(SIGWINCH);
    running.await_output("got 28");
    running.finish().silent(7);
}

case!(it_passes_signals_on_from_the_first_word_on, Needs::NAMESPACES | Needs::STRACE);
/// Once the command has printed something, a signal to it must arrive, however slow the reaper is to start.
fn it_passes_signals_on_from_the_first_word_on() {
    let folder = Folder::new();
    let strace = tool("strace").expect("strace");
    let file = mydocker_file();
    // strace delays the return of each kill(2), including the one that lets the command continue.
    let seen = folder.text("strace");
    let mut words: Vec<OsString> =
        ["-f", "-o", &seen, "-e", "trace=kill", "-e", "inject=kill:delay_exit=300000"].map(OsString::from).into();
    words.extend([file.into(), "run".into(), "--init".into()]);
    words.extend(probe_words(&["catch", "1"]));
    let running = mydocker_at(&strace, &words).start_ready();
    send(children(running.pid)[0], SIGHUP);
    running.await_output("got 1\n");
    assert_eq!(running.reap().code(), 7);
}

case!(a_signal_before_the_terminal_is_there, Needs::NAMESPACES | Needs::STRACE);
/// A signal that asks for the end while the child has not yet sent its terminal is the reason of the end, and no error is.
fn a_signal_before_the_terminal_is_there() {
    let folder = Folder::new();
    let strace = tool("strace").expect("strace");
    for options in [&["-t"][..], &["-t", "--init"]] {
        let seen = folder.text("strace");
        let delay = "inject=setsid:delay_enter=2000000";
        let mut words: Vec<OsString> =
            ["-f", "-o", &seen, "-e", "trace=setsid", "-e", delay].map(OsString::from).into();
        words.extend([mydocker_file().into(), "run".into()]);
        words.extend(options.iter().map(OsString::from));
        words.extend(probe_words(&["sleep", "100000"]));
        let running = mydocker_at(&strace, &words).start();
        // strace has other children before, to try what it can do.
        let parent = || children(running.pid).into_iter().find(|&pid| !children(pid).is_empty());
        wait_until("it has a child, or has ended", || parent().is_some() || state(running.pid) == Some('Z'));
        if let Some(mydocker) = parent() {
            send(mydocker, SIGTERM);
        }
        let outcome = running.finish();
        assert_eq!(outcome.code(), 128 + SIGTERM, "{options:?}: {outcome:?}");
        assert!(!outcome.stderr_text().contains("mydocker:"), "{options:?}: {outcome:?}");
    }
}

case!(a_foreign_init_is_left_to_itself, Needs::NAMESPACES);
/// tini and similar programs wait with sigtimedwait(2): they have no handler, and while they wait no signal is blocked.
fn a_foreign_init_is_left_to_itself() {
    for options in [&[][..], &["-t"], &["--init"]] {
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            let running = probe(options, &["wait-for", &signal.to_string()]).start_ready();
            wait_until("it waits", || state(running.command_pid()) == Some('S'));
            running.send(signal);
            let outcome = running.finish_with_stdin_open();
            outcome.silent(7);
            assert!(outcome.stdout_text().contains(&format!("got {signal}")), "{outcome:?}");
        }
    }
}

case!(a_signal_that_nobody_catches_ends_the_command, Needs::NAMESPACES);
fn a_signal_that_nobody_catches_ends_the_command() {
    for options in BOTH {
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1] {
            let running = waiting_container(options);
            running.send(signal);
            let outcome = running.finish_with_stdin_open();
            assert_eq!(outcome.code(), 128 + signal, "{options:?}: {outcome:?}");
        }
    }
}

case!(its_status_is_the_commands, Needs::NAMESPACES);
fn its_status_is_the_commands() {
    for options in BOTH {
        for status in [0, 1, 42, 125, 127, 255] {
            probe(options, &["status", &status.to_string()]).finish().silent(status);
        }
        for signal in [SIGKILL, SIGTERM, libc::SIGSEGV, libc::SIGABRT] {
            let outcome = probe(options, &["kill-self", &signal.to_string()]).finish();
            assert_eq!(outcome.code(), 128 + signal, "{options:?}");
        }
    }
    let options = ["--init", "--pid", "host"];
    probe(&options, &["status", "42"]).finish().silent(42);
    assert_eq!(probe(&options, &["kill-self", "15"]).finish().code(), 143);
}

case!(it_ends_with_the_command, Needs::NAMESPACES);
/// Whatever other processes still run.
fn it_ends_with_the_command() {
    for options in [&["--init"][..], &["--init", "--pid", "host"]] {
        probe(options, &["leave-child"]).finish().silent(0);
    }
    let mut left = probe(&["--init", "--pid", "host"], &["leave-child"]).start();
    left.write_stdin(b"");
    let pid = left.await_output("\n").trim().parse::<i32>().expect("a pid of the host");
    left.finish().silent(0);
    assert!(wait_for_end(pid), "the processes that the command left are gone");
}

case!(a_command_that_is_not_there, Needs::NAMESPACES | Needs::MEMORY);
fn a_command_that_is_not_there() {
    let folder = Folder::new();
    let file = folder.write("not-a-program", b"#!/no/such/interpreter\n");
    for options in BOTH {
        run(options, &["no-such-tool"]).finish().refused(127, &["no-such-tool"]);
        run(options, &[&file]).finish().refused(126, &[&file]);
        run(options, &["/"]).finish().refused(126, &[]);
    }
    run(&["--init", "-m", "100m", "-w", "/no/such/folder"], &["true"]).finish().refused(125, &["/no/such/folder"]);
    run(&["--init", "--pid", "host"], &["no-such-tool"]).finish().refused(127, &["no-such-tool"]);
}

case!(it_holds_nothing_but_the_streams, Needs::ROOT);
fn it_holds_nothing_but_the_streams() {
    let folder = Folder::new();
    for options in [&["--init"][..], &["--init", "-t"], &["--init", "-m", "100m"]] {
        let running = waiting_container(options);
        let (reaper, _) = pids(&running);
        let open = || {
            let entries = fs::read_dir(format!("/proc/{reaper}/fd")).expect("/proc/PID/fd").flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        wait_until("the reaper has closed the descriptors that it does not need", || open() == ["0", "1", "2"]);
        assert_eq!(running.finish().code(), 0);
        let file = folder.text("descriptors");
        assert_eq!(probe(options, &["descriptors", &file]).finish().code(), 0);
        assert_eq!(fs::read_to_string(&file).expect("the probe's file").lines().count(), 3, "{options:?}");
    }
}

case!(the_command_starts_as_it_would_without, Needs::NAMESPACES);
fn the_command_starts_as_it_would_without() {
    let plain = probe(&[], &["signals"]).finish().success();
    for options in BOTH {
        assert_eq!(probe(options, &["signals"]).finish().success().replace('\r', ""), plain, "{options:?}");
    }
}

case!(stopped_and_continued, Needs::NAMESPACES | Needs::TERMINAL);
/// By a signal to mydocker alone, and by a key on a terminal that all share; whether the command handles SIGTSTP or
/// not.
fn stopped_and_continued() {
    for (options, key) in [
        (&["--init"][..], false),
        (&["--init"], true),
        (&["--init", "-t"], false),
        (&[], false),
        (&[], true),
        (&["-t"], false),
        (&["--pid", "host"], true),
    ] {
        for tstp in ["i20", "20", "18"] {
            let mut inside = in_terminal(probe(options, &["catch", tstp, "18", "12"]));
            inside.await_screen("ready");
            let pid = inside.running.pid;
            let first = inside.running.command_pid();
            let command = children(first).first().copied().unwrap_or(first);
            match key {
                true => inside.press(b"\x1a"),
                false => inside.running.send(SIGTSTP),
            }
            wait_until("mydocker stops", || state(pid) == Some('T'));
            assert_eq!(state(command), Some('T'), "{options:?} {tstp} {key}");
            inside.running.send(SIGCONT);
            inside.await_screen("got 18\r\n");
            wait_until("every process continues", || state(pid) == Some('S') && state(command) == Some('S'));
            inside.running.await_delivery(SIGCONT);
            inside.running.send(SIGUSR2);
            inside.await_screen("got 12\r\n");
            assert_eq!(inside.count("got 18\r\n"), 1, "{options:?} {tstp} {key}");
            inside.press(b"\x04");
            assert_eq!(inside.running.finish_with_stdin_open().code(), 7, "{options:?} {tstp} {key}");
        }
    }
}

case!(a_stop_comes_after_the_commands, Needs::NAMESPACES | Needs::TERMINAL);
/// When the caller's shell sees mydocker stop, the command must have stopped: it may not read what the user types from
/// then on. This command is slow to stop, because it cannot stop while the child of its vfork(2) runs.
fn a_stop_comes_after_the_commands() {
    for options in [&[][..], &["--init"], &["-t"], &["--init", "-t"], &["--pid", "host"]] {
        let mut inside = in_terminal(probe(options, &["vfork", "20"]));
        inside.await_screen("ready");
        let first = inside.running.command_pid();
        let command = *children(first).iter().find(|_| options.contains(&"--init")).unwrap_or(&first);
        for _ in 0..5 {
            wait_until("it waits for its child", || state(command) == Some('D'));
            inside.running.send(SIGTSTP);
            await_stop(inside.running.pid);
            assert_eq!(state(command), Some('T'), "{options:?}");
            inside.running.send(SIGCONT);
        }
        inside.running.send(SIGTERM);
        assert_eq!(inside.running.finish_with_stdin_open().code(), 128 + SIGTERM, "{options:?}");
    }
}

/// Returns at the moment when a child of ours stops, as a shell's wait does; or when the child ends.
fn await_stop(pid: i32) {
    // SAFETY: waitid fills one siginfo_t, and all zeros are a valid one
    let stopped = unsafe {
        let mut news = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid as u32, &mut news, libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT)
    };
    assert_eq!(stopped, 0, "waitid");
}

case!(it_dies_with_mydocker, Needs::NAMESPACES);
fn it_dies_with_mydocker() {
    // Without a group: the sweep of another run would end what is left in one.
    for options in [&["--init"][..], &["--init", "-t"], &["--init", "--pid", "host", "--no-limits"]] {
        let running = waiting_container(options);
        let (reaper, command) = pids(&running);
        running.send(SIGKILL);
        assert_eq!(running.reap_with_stdin_open().status.signal(), Some(SIGKILL));
        assert!(wait_for_end(reaper) && wait_for_end(command), "{options:?}");
    }
}

case!(a_killed_reaper_takes_all_with_it, Needs::NAMESPACES);
fn a_killed_reaper_takes_all_with_it() {
    for options in [&["--init"][..], &["--init", "-t"], &["--init", "--pid", "host"]] {
        let running = waiting_container(options);
        let (reaper, command) = pids(&running);
        send(reaper, SIGKILL);
        assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGKILL, "{options:?}");
        assert!(wait_for_end(command), "{options:?}");
    }
}
