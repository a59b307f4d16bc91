//! Which parts of the caller's process state reach the command, and which must not: descriptors, streams, signals.

use crate::cases::lifecycle::Records;
use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, mydocker, mydocker_file, probe, probe_file, run, unique_name};
use crate::support::needs::Needs;
use crate::support::processes::wait_until;
use crate::support::roots::Root;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

/// The descriptors that the command has, one per line: `N TARGET`.
fn inside(folder: &Folder, options: &[&str], before: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> String {
    let file = folder.text("descriptors");
    let outcome = probe(options, &["descriptors", &file]).before(before).finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    fs::read_to_string(file).expect("the probe's file")
}

fn numbers(lines: &str) -> Vec<&str> {
    lines.lines().filter_map(|line| line.split(' ').next()).collect()
}

case!(nothing_above_2, Needs::NAMESPACES | Needs::MEMORY);
fn nothing_above_2() {
    let folder = Folder::new();
    for options in [&[][..], &["-t"], &["-m100m", "--pid=host"], &["--no-limits"]] {
        assert_eq!(numbers(&inside(&folder, options, || Ok(()))), ["0", "1", "2"], "{options:?}");
    }
}

case!(the_callers_leaks_stop_here, Needs::NAMESPACES);
fn the_callers_leaks_stop_here() {
    let folder = Folder::new();
    let leak = || {
        for to in [3, 4, 5, 6, 7, 8, 9, 10, 57, 900] {
            // SAFETY: dup2 takes two integers; the new descriptor is meant to survive exec
            if unsafe { libc::dup2(0, to) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    assert_eq!(numbers(&inside(&folder, &[], leak)), ["0", "1", "2"]);
}

/// Makes the descriptors from 3 up to `last` copies of stdin that survive exec, and marks all above close-on-exec.
fn pass(last: i32) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    move || {
        // SAFETY: both calls take integers, and concern the new process's own descriptor table
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            for to in 3..=last {
                if libc::dup2(0, to) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        Ok(())
    }
}

case!(what_is_passed_arrives, Needs::NAMESPACES);
/// `--preserve-fds N`: those from 3 on, and no other.
fn what_is_passed_arrives() {
    let folder = Folder::new();
    let root = Root::with_directories();
    let to_file = |options: &[&str]| numbers(&inside(&folder, options, pass(12))).join(" ");
    assert_eq!(to_file(&["--preserve-fds", "2"]), "0 1 2 3 4");
    assert_eq!(to_file(&["--preserve-fds=10", "--pid", "host"]), "0 1 2 3 4 5 6 7 8 9 10 11 12");
    assert_eq!(to_file(&["--preserve-fds=5", "--preserve-fds=1", "--init"]), "0 1 2 3");
    assert_eq!(to_file(&["--preserve-fds", "0"]), "0 1 2");
    let open = root.probe(&["--preserve-fds", "3"], &["list", "/proc/self/fd"]).before(pass(12)).finish().success();
    assert!(open.contains('5') && !open.contains('7'), "{open}");
    let script = run(&["--dry-run=sh", "--preserve-fds", "3"], &["true"]).before(pass(12)).finish().success();
    assert!(script.contains("\nstop 'the script itself uses descriptors from 3 on"), "{script}");
}

case!(what_is_passed_in_the_background, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// `run -d` passes them, and an `exec` in that container its own.
fn what_is_passed_in_the_background() {
    let (records, name) = (Records::new(), unique_name());
    let script = "echo to3 >&3; echo done; exec sleep 1000";
    let folder = Folder::new();
    let (file, path) = (folder.write("log", b""), std::ffi::CString::new(folder.text("log")).expect("a path"));
    let open = move || {
        // SAFETY: open reads a string that a NUL ends, dup2 takes integers
        unsafe { libc::dup2(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_APPEND), 3) };
        Ok(())
    };
    let words = ["-d", "--name", &name, "--preserve-fds", "1"];
    records.run(&words, &["sh", "-c", script]).before(open.clone()).start().reap().success();
    wait_until("it has written", || fs::read_to_string(&file).is_ok_and(|text| text == "to3\n"));
    let exec = ["--preserve-fds=1", &name, "sh", "-c", "echo exec >&3"];
    records.verb("exec", &exec).before(open.clone()).finish().silent(0);
    assert_eq!(fs::read_to_string(&file).expect("read"), "to3\nexec\n");
    let without = records.verb("exec", &[&name, "sh", "-c", "echo exec >&3"]).before(open).finish();
    assert_ne!(without.code(), 0, "{without:?}");
    records.remove(&name);
}

case!(what_cannot_be_passed, Needs::NOTHING);
fn what_cannot_be_passed() {
    let refused = |options: &[&str], words: &[&str]| {
        run(options, &["true"]).before(pass(4)).finish().refused(125, words);
    };
    refused(&["--preserve-fds", "3"], &["not open", "5"]);
    refused(&["--preserve-fds", "1073741821"], &["not open", "5"]);
    refused(&["--preserve-fds", "3", "--trace", "--dry-run"], &["not open", "5"]);
    for bad in ["-1", "x", "1.5", "+1x", "1073741822", "4294967299", "99999999999999999999"] {
        run(&["--preserve-fds", bad], &["true"]).finish().usage_error(&["--preserve-fds", bad]);
    }
    run(&["--preserve-fds="], &["true"]).finish().usage_error(&["empty value"]);
    let words = [&b"run"[..], b"--preserve-fds", b"\xff", b"true"].map(std::ffi::OsStr::from_bytes);
    mydocker(&words).finish().usage_error(&["UTF-8"]);
    for flags in [libc::O_DIRECTORY, libc::O_PATH] {
        let open = move || {
            // SAFETY: open reads a string that a NUL ends
            let fd = unsafe { libc::open(c"/".as_ptr(), flags) };
            // SAFETY: dup2 takes two integers
            unsafe { libc::dup2(fd, 4) };
            Ok(())
        };
        let run = run(&["--preserve-fds", "2"], &["true"]).before(pass(4)).before(open);
        run.finish().refused(125, &["a directory, or an O_PATH descriptor", "\"4\""]);
    }
}

case!(sockets_that_activate_it, Needs::NAMESPACES | Needs::SH);
/// LISTEN_FDS, as sd_listen_fds(3) and podman have it. A shell gives mydocker its own pid, by exec.
fn sockets_that_activate_it() {
    let folder = Folder::new();
    let file = folder.text("descriptors");
    let listen = |pid: &str, fds: &str, options: &[&str], probe: &[&str]| {
        let script = format!("export LISTEN_PID={pid} LISTEN_FDS={fds} LISTEN_FDNAMES=a:b; exec \"$@\"");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(mydocker_file()).arg("run").args(options);
        command.arg(probe_file()).arg("--probe").args(probe).stdin(std::process::Stdio::null());
        // SAFETY: the closure makes system calls alone
        unsafe { command.pre_exec(pass(12)) };
        let _forks_allowed = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        command.output().expect("sh")
    };
    let seen = |pid: &str, options: &[&str]| {
        let output = listen(pid, "2", options, &["descriptors", &file]);
        assert!(output.status.success(), "{output:?}");
        numbers(&fs::read_to_string(&file).expect("the probe's file")).join(" ")
    };
    assert_eq!(seen("$$", &[]), "0 1 2 3 4");
    assert_eq!(seen("$$", &["--preserve-fds", "1"]), "0 1 2 3 4");
    assert_eq!(seen("$$", &["--preserve-fds", "3"]), "0 1 2 3 4 5");
    assert_eq!(seen("1", &[]), "0 1 2", "they are another process's");
    for (options, pid) in [(&[][..], "1"), (&["--init"], "2")] {
        let output = listen("$$", "2", options, &["env"]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        for variable in [format!("LISTEN_PID={pid}"), "LISTEN_FDS=2".into(), "LISTEN_FDNAMES=a:b".into()] {
            assert!(text.lines().any(|line| line == variable), "{variable}: {text}");
        }
        assert_eq!(text.matches("LISTEN_").count(), 3, "{text}");
    }
    for (fds, options, words) in
        [("x", &[][..], "LISTEN_FDS"), ("11", &[], "not open: \"13\""), ("2", &["--pid", "host"], "--preserve-fds")]
    {
        let output = listen("$$", fds, options, &["status", "0"]);
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(125) && text.contains(words), "{text}");
    }
}

case!(streams_are_the_callers, Needs::NAMESPACES);
fn streams_are_the_callers() {
    let folder = Folder::new();
    let (input, output) = (folder.write("in", b"from a file\n"), folder.text("out"));
    let file = |path: &str| fs::OpenOptions::new().read(true).append(true).create(true).open(path).expect("open");
    let streams = [file(&input), file(&output), file(&output)].map(Into::into);
    probe(&[], &["echo"]).start_on(streams).finish().silent(0);
    assert_eq!(fs::read_to_string(&output).expect("read"), "from a file\n");
    let lines = folder.text("descriptors");
    let streams = [file(&input), file(&output), file(&output)].map(Into::into);
    probe(&[], &["descriptors", &lines]).start_on(streams).finish().silent(0);
    let expected = format!("0 {input}\n1 {output}\n2 {output}\n");
    assert_eq!(fs::read_to_string(&lines).expect("read"), expected, "the same open files");
}

case!(closed_streams_are_survived, Needs::NAMESPACES | Needs::MEMORY);
/// If 0, 1 or 2 is closed, mydocker's first pipe gets that number. The command must find the stream closed or on
/// `/dev/null`, and none of mydocker's descriptors.
fn closed_streams_are_survived() {
    let folder = Folder::new();
    for closed in 1..8 {
        let close = move || {
            for descriptor in 0..3 {
                if closed >> descriptor & 1 == 1 {
                    // SAFETY: close takes an integer, in the new process's own descriptor table
                    unsafe { libc::close(descriptor) };
                }
            }
            Ok(())
        };
        let lines = inside(&folder, &[], close);
        for line in lines.lines() {
            let (number, target) = line.split_once(' ').expect("number and target");
            let number: u32 = number.parse().expect("a number");
            assert!(number < 3, "closed {closed:03b}: {lines}");
            if closed >> number & 1 == 1 {
                assert_eq!(target, "/dev/null", "closed {closed:03b}: {lines}");
            }
        }
        let outcome = probe(&["-m", "100m"], &["status", "7"]).before(close).finish();
        assert_eq!(outcome.code(), 7, "closed {closed:03b}: {outcome:?}");
        // The failure cannot be printed, and still differs from the command's own exit status.
        let outcome = probe(&["-w", "/no/such/folder"], &["status", "7"]).before(close).finish();
        assert_eq!(outcome.code(), 125, "closed {closed:03b}: {outcome:?}");
    }
}

const DEFAULTS: &str = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n";

case!(signals_start_at_their_defaults, Needs::NAMESPACES);
fn signals_start_at_their_defaults() {
    for options in [&[][..], &["--pid", "host"]] {
        assert_eq!(probe(options, &["signals"]).finish().success(), DEFAULTS, "{options:?}");
    }
}

case!(the_callers_signals_do_not_come_in, Needs::NAMESPACES);
fn the_callers_signals_do_not_come_in() {
    let spoil = || {
        // SAFETY: the calls change dispositions and the mask of the new process; the set lives in this frame
        unsafe {
            for signal in [libc::SIGHUP, libc::SIGPIPE, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, 40] {
                libc::signal(signal, libc::SIG_IGN);
            }
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        }
        Ok(())
    };
    assert_eq!(probe(&[], &["signals"]).before(spoil).finish().success(), DEFAULTS);
}

case!(an_ignored_sigchld_hides_no_status, Needs::NAMESPACES);
/// If SIGCHLD is ignored, the kernel reaps children at once, and there is no status to wait for.
fn an_ignored_sigchld_hides_no_status() {
    let ignore = || {
        // SAFETY: SIG_IGN is no handler, so signal stores two integers
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        Ok(())
    };
    probe(&[], &["status", "42"]).before(ignore).finish().silent(42);
    assert_eq!(probe(&[], &["signals"]).before(ignore).finish().success(), DEFAULTS);
}
