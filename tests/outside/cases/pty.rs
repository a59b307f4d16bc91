//! `-t`: a terminal of the container's own devpts, as large as the user's, which the processes inside cannot leave.

use crate::probes::own_mounts::in_own_mounts;
use crate::probes::own_mounts::mount_tmpfs;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, probe, probe_words, run};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::processes::wait_until;
use crate::support::user_terminal::{UserTerminal, in_given_terminal, in_terminal};
use libc::{SIGCONT, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
use rustix::mount::{UnmountFlags, unmount};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

const OPTIONS: [&[&str]; 4] = [&["-t"], &["-t", "--init"], &["-t", "--pid", "host"], &["-t", "--init", "--pid=host"]];

case!(it_is_the_first_of_an_own_devpts, Needs::NAMESPACES);
fn it_is_the_first_of_an_own_devpts() {
    let hosts = std::fs::metadata("/dev/pts").map_or(0, |pts| pts.dev());
    for options in OPTIONS {
        let text = probe(options, &["terminal"]).finish().success();
        let device: u64 =
            text.lines().find_map(|line| line.strip_prefix("device ")).unwrap().parse().expect("a device");
        assert_ne!(device, hosts, "{options:?}");
        let expected = "streams /dev/pts/0 /dev/pts/0 /dev/pts/0\r\ncontrolling true\r\nsession true\r\nforeground true\r\n\
                        pts [\"0\", \"ptmx\"]\r\n";
        assert_eq!(text, format!("{expected}device {device}\r\ntty true\r\n"), "{options:?}");
    }
    // Two containers at the same time have one each.
    let [mut one, mut two] = [0, 1].map(|_| probe(&["-t"], &["echo"]).start());
    one.write_stdin(b"one\n");
    two.write_stdin(b"two\n");
    one.await_output("one\r\none\r\n");
    two.await_output("two\r\ntwo\r\n");
    assert_eq!(one.finish().success(), "one\r\none\r\n");
    assert_eq!(two.finish().success(), "two\r\ntwo\r\n");
}

case!(it_is_the_console, Needs::NAMESPACES | Needs::TERMINAL);
/// In the mounts of the run alone; a host may have none.
fn it_is_the_console() {
    let host = std::fs::metadata("/dev/console").map(|console| console.rdev());
    for options in OPTIONS {
        let seen = probe(options, &["see", "/dev/console"]).finish().success();
        assert_eq!(seen, if host.is_ok() { "char 136:0 620\r\n" } else { "ENOENT\r\n" }, "{options:?}");
    }
    assert_eq!(std::fs::metadata("/dev/console").map(|console| console.rdev()).ok(), host.ok());
}

case!(programs_inside_can_make_more, Needs::NAMESPACES);
fn programs_inside_can_make_more() {
    assert_eq!(probe(&["-t"], &["another"]).finish().success(), "/dev/pts/1\r\n");
}

case!(the_size_is_there_from_the_first_moment, Needs::NAMESPACES | Needs::TERMINAL);
fn the_size_is_there_from_the_first_moment() {
    for options in OPTIONS {
        for (rows, columns) in [(33, 99), (1, 1), (65535, 65535)] {
            let terminal = UserTerminal::new();
            terminal.resize(rows, columns);
            let mut inside = in_given_terminal(probe(options, &["size"]), terminal);
            inside.await_screen(&format!("size {rows} {columns}.\r\n"));
            assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
        }
    }
}

case!(the_size_of_any_stream_will_do, Needs::NAMESPACES | Needs::TERMINAL);
fn the_size_of_any_stream_will_do() {
    for only in 0..3 {
        let mut terminal = UserTerminal::new();
        terminal.resize(12, 34);
        let null = || std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into();
        let streams = [0, 1, 2].map(|stream| if stream == only || stream == 1 { terminal.stream() } else { null() });
        let outcome = probe(&["-t"], &["size"]).start_on(streams).finish_with_stdin_open();
        terminal.await_screen("size 12 34.");
        assert_eq!(outcome.code(), 0);
    }
}

case!(a_resize_arrives_once, Needs::NAMESPACES | Needs::TERMINAL);
fn a_resize_arrives_once() {
    for options in [&["-t"][..], &["-t", "--init"], &[], &["--init"]] {
        let mut inside = in_terminal(probe(options, &["size", "follow"]));
        inside.await_screen("size 24 80.");
        for (rows, columns) in [(30, 100), (10, 20), (31, 101)] {
            inside.terminal.resize(rows, columns);
            inside.await_screen(&format!("size {rows} {columns}."));
        }
        inside.press(b"\n");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
        let screen = inside.terminal.screen();
        assert_eq!(screen.matches("size ").count(), 4, "{options:?}: {screen}");
    }
}

case!(the_first_size_is_no_resize, Needs::NAMESPACES | Needs::TERMINAL | Needs::STRACE);
/// The terminal has its size before the command starts: the command hears of no change, however slow the reaper is.
fn the_first_size_is_no_resize() {
    let folder = Folder::new();
    let strace = tool("strace").expect("strace");
    // strace delays the return of each kill(2): the reaper's first one lets the command go.
    let seen = folder.text("strace");
    let mut words: Vec<OsString> =
        ["-f", "-o", &seen, "-e", "trace=kill", "-e", "inject=kill:delay_exit=500000"].map(OsString::from).into();
    words.extend([mydocker_file().into(), "run".into(), "-t".into(), "--init".into()]);
    words.extend(probe_words(&["size", "follow"]));
    let mut inside = in_terminal(mydocker_at(&strace, &words));
    inside.await_screen("size 24 80.");
    std::thread::sleep(std::time::Duration::from_secs(1));
    inside.press(b"\n");
    assert_eq!(inside.running.reap().code(), 0);
    let screen = inside.terminal.screen();
    assert_eq!(screen.matches("size ").count(), 1, "{screen}");
}

case!(a_resize_while_stopped_arrives, Needs::NAMESPACES | Needs::TERMINAL);
fn a_resize_while_stopped_arrives() {
    let mut inside = in_terminal(probe(&["-t"], &["size", "follow"]));
    inside.await_screen("size 24 80.");
    inside.running.send(libc::SIGTSTP);
    wait_until("mydocker stops", || crate::support::processes::state(inside.running.pid) == Some('T'));
    inside.terminal.resize(40, 140);
    inside.running.send(SIGCONT);
    inside.await_screen("size 40 140.");
    inside.press(b"\n");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
}

case!(nothing_inside_types_into_the_users_terminal, Needs::NAMESPACES | Needs::TERMINAL);
/// TIOCSTI and TIOCLINUX on every terminal that is reachable inside. The filter forbids them. Without it the kernel does,
/// since the user's terminal belongs to another session; and with a terminal of the container's own, nothing reaches the
/// user's at all. Where all of that is lifted, with CAP_SYS_ADMIN, the pushed bytes arrive: so the case can detect them.
fn nothing_inside_types_into_the_users_terminal() {
    for own in [&[][..], &["-t"], &["-t", "--init"]] {
        for filter in [&[][..], &["--security-opt", "seccomp=unconfined"], &["--privileged"]] {
            let options = [own, filter].concat();
            let mut inside = in_terminal(probe(&options, &["push"]));
            inside.await_screen(".\r\n");
            let screen = inside.terminal.screen();
            assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
            let waiting = inside.terminal.waiting_input();
            if filter.is_empty() {
                let (_, errors) = screen.split_once("pushed ").expect("the probe's word");
                let errors: Vec<&str> = errors.trim_end_matches(".\r\n").split(' ').collect();
                assert!(errors.iter().all(|error| *error == libc::EPERM.to_string()), "{options:?}: {screen}");
            }
            match own.is_empty() && filter == ["--privileged"] && Needs::ROOT.missing().is_none() && may_type() {
                true => assert!(waiting > 0, "{options:?}: {screen}"),
                false => assert_eq!(waiting, 0, "{options:?}: {screen}"),
            }
        }
    }
}

/// Whether this kernel lets a process without CAP_SYS_ADMIN push input into its own terminal.
fn may_type() -> bool {
    // Before Linux 6.2 this file does not exist, and the kernel allows it.
    let setting = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").unwrap_or_default();
    let may = setting.trim() != "0";
    if !may {
        note("this kernel has no TIOCSTI");
    }
    may
}

case!(a_key_arrives_once, Needs::NAMESPACES | Needs::TERMINAL);
fn a_key_arrives_once() {
    for options in [&["-t"][..], &["-t", "--init"], &["--init"]] {
        for (key, signal) in [(b"\x03", SIGINT), (b"\x1c", SIGQUIT)] {
            let mut inside = in_terminal(probe(options, &["catch", &signal.to_string(), "10"]));
            inside.await_screen("ready");
            inside.press(key);
            inside.await_screen(&format!("got {signal}\r\n"));
            inside.running.await_delivery(signal);
            inside.running.send(SIGUSR1);
            inside.await_screen("got 10\r\n");
            inside.press(b"\x04");
            inside.await_screen("end\r\n");
            assert_eq!(inside.count(&format!("got {signal}\r\n")), 1, "{options:?}");
            assert_eq!(inside.running.finish_with_stdin_open().code(), 7, "{options:?}");
        }
    }
}

case!(a_key_ends_what_does_not_catch_it, Needs::NAMESPACES | Needs::TERMINAL);
fn a_key_ends_what_does_not_catch_it() {
    for options in [&["-t"][..], &["-t", "--init"], &["-t", "--pid", "host"], &["--init"]] {
        for (key, signal) in [(b"\x03", SIGINT), (b"\x1c", SIGQUIT)] {
            let mut inside = in_terminal(probe(options, &["hold"]));
            inside.await_screen("ready");
            inside.press(key);
            let outcome = inside.running.finish_with_stdin_open();
            assert_eq!(outcome.code(), 128 + signal, "{options:?}: {outcome:?}");
        }
    }
}

case!(a_quoted_key_is_a_byte, Needs::NAMESPACES | Needs::TERMINAL);
/// Ctrl-V first: the line discipline then takes the key as a literal character.
fn a_quoted_key_is_a_byte() {
    let mut inside = in_terminal(probe(&["-t"], &["echo"]));
    inside.press(b"first\n");
    inside.await_screen("first\r\nfirst\r\n");
    inside.press(b"\x16\x03second\n");
    inside.await_screen("\x03second\r\n");
    inside.press(b"\x04");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
}

case!(a_key_is_quoted_only_where_the_terminal_makes_lines, Needs::NAMESPACES | Needs::TERMINAL);
/// With a probe, because a shell catches Ctrl-C itself, even while it is about to execute another program; a signal
/// that reaches a PID 1 during its execve is lost together with the handler.
fn a_key_is_quoted_only_where_the_terminal_makes_lines() {
    for options in [&["-t"][..], &["-t", "--init"]] {
        let mut inside = in_terminal(probe(options, &["hold-without-lines"]));
        inside.await_screen("ready");
        inside.press(b"\x16\x03");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 128 + SIGINT, "{options:?}");
    }
}

case!(a_key_that_means_nothing_is_a_byte, Needs::NAMESPACES | Needs::TERMINAL);
/// A program that reads every key itself, like an editor, is not ended by one.
fn a_key_that_means_nothing_is_a_byte() {
    let mut inside = in_terminal(probe(&["-t"], &["mirror", "3"]));
    inside.await_screen("ready\n");
    inside.press(b"\x03\x1c\x1a");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
    assert!(inside.terminal.screen().ends_with("ready\n\x03\x1c\x1a"));
}

case!(a_signal_to_mydocker_arrives_once, Needs::NAMESPACES | Needs::TERMINAL);
fn a_signal_to_mydocker_arrives_once() {
    for options in [&["-t"][..], &["-t", "--init"]] {
        for signal in [SIGTERM, SIGINT, SIGUSR1, SIGCONT] {
            let mut inside = in_terminal(probe(options, &["catch", &signal.to_string(), "12"]));
            inside.await_screen("ready");
            inside.running.send(signal);
            inside.await_screen(&format!("got {signal}\r\n"));
            inside.running.await_delivery(signal);
            inside.running.send(libc::SIGUSR2);
            inside.await_screen("got 12\r\n");
            inside.press(b"\x04");
            inside.await_screen("end\r\n");
            assert_eq!(inside.count(&format!("got {signal}\r\n")), 1, "{options:?}");
            assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
        }
    }
    // WINCH concerns the user's terminal: if its size has not changed, nothing is forwarded.
    let mut inside = in_terminal(probe(&["-t"], &["catch", "28", "12"]));
    inside.await_screen("ready");
    inside.running.send(SIGWINCH);
    inside.running.await_delivery(SIGWINCH);
    inside.running.send(libc::SIGUSR2);
    inside.await_screen("got 12\r\n");
    assert_eq!(inside.count("got 28"), 0);
    inside.press(b"\x04");
    assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
}

case!(a_hangup_of_the_users_terminal_ends_it, Needs::NAMESPACES | Needs::TERMINAL);
/// The window is closed. A signal that would end any process ends the container; a command that catches or ignores it
/// sees the end of its input, and an error (99) if it still writes something.
fn a_hangup_of_the_users_terminal_ends_it() {
    for (options, words, statuses) in [
        (&["-t"][..], &["hold"][..], &[128 + libc::SIGHUP][..]),
        // Through the reaper the signal may arrive second: after the end of the input, or after an error there.
        (&["-t", "--init"], &["hold"], &[128 + libc::SIGHUP, 0, 99]),
        (&["-t"], &["catch", "1"], &[7, 99]),
        (&["-t"], &["catch", "i1"], &[7, 99]),
    ] {
        let mut inside = in_terminal(probe(options, words));
        inside.await_screen("ready");
        let running = inside.running;
        drop(inside.terminal);
        let status = running.finish_with_stdin_open().code();
        assert!(statuses.contains(&status), "{options:?} {words:?}: {status}");
    }
}

case!(a_users_terminal_without_a_foreground, Needs::NAMESPACES | Needs::TERMINAL);
/// The other side of a pseudo-terminal is a terminal as well, but has no process groups: no process is in its
/// foreground or background.
fn a_users_terminal_without_a_foreground() {
    for options in OPTIONS {
        let terminal = UserTerminal::new();
        let null = || std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into();
        // A stop signal, if there were one, would go to the process group.
        let in_own_group = || {
            // SAFETY: setpgid takes two integers
            unsafe { libc::setpgid(0, 0) };
            Ok(())
        };
        let run = probe(options, &["status", "7"]).before(in_own_group);
        let running = run.start_on([terminal.keyboard_side(), null(), null()]);
        assert_eq!(running.finish_with_stdin_open().code(), 7, "{options:?}");
    }
}

case!(no_devpts_no_terminal, Needs::ROOT);
fn no_devpts_no_terminal() {
    in_own_mounts("private", "no-devpts");
}

probe!("no-devpts", |_| without_devpts());
/// In a mount namespace of its own: a `/dev` without `/dev/pts`, and a host that has no devpts mounted on it.
fn without_devpts() {
    if unmount("/dev/pts", UnmountFlags::DETACH).is_ok() {
        assert_eq!(run(&["-t"], &["true"]).finish().code(), 0, "an empty /dev/pts is enough");
    }
    mount_tmpfs("/dev");
    for options in [&["-t"][..], &["-t", "--init"], &["-t", "-m", "100m"], &["-t", "--pid", "host"]] {
        probe(options, &["status", "7"]).finish().refused(125, &["/dev/pts", "ENOENT", "-t"]);
    }
    probe(&[], &["status", "7"]).finish().silent(7);
}
