//! Which parts of the caller's process state reach the command, and which must not: descriptors, streams, signals.

use crate::support::folder::Folder;
use crate::support::harness::probe;
use crate::support::needs::Needs;
use std::fs;
use std::io;

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
