//! mydocker between other programs: in a pipeline, under `timeout`.

use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, mydocker_file};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::processes::wait_for_end;
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start(command: &mut Command) -> Child {
    let _forks_allowed = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start")
}

/// Waits for the end, which must come without an end of standard input: that stays open.
fn finish(mut child: Child, what: &str) -> (String, String) {
    let stdin = child.stdin.take();
    if !wait_for_end(child.id() as i32) {
        child.kill().expect("kill of the hanging process");
        panic!("hangs: {what}");
    }
    let output = child.wait_with_output().expect("output");
    drop(stdin);
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

case!(a_reader_that_goes_first, Needs::NAMESPACES | Needs::SH);
/// `... | head -1`: it ends, and mydocker prints nothing about it. (A PID 1 without a handler for SIGPIPE gets none: it
/// prints its own message about EPIPE, as in every container. With `--init` and with `-t` it does not.)
fn a_reader_that_goes_first() {
    let folder = Folder::new();
    let once = [("", "yes"), ("--init", "yes"), ("", "cat"), ("--init", "cat")];
    // The end of the terminal and the end of the command must not race here.
    let often = [("-t", "yes")].repeat(10);
    for (options, words) in once.into_iter().chain(often) {
        let file = folder.text("status");
        let line = format!("{{ \"$MYDOCKER\" run {options} {words}; echo $? >'{file}'; }} | head -n 1");
        let mut shell = start(Command::new("sh").args(["-c", &line]).env("MYDOCKER", mydocker_file()));
        if words == "cat" {
            let mut stdin = shell.stdin.take().expect("a pipe");
            // The writer runs as long as somebody reads; cat notices at its second write that nobody does.
            std::thread::spawn(move || while stdin.write_all(b"y\n").is_ok() {});
        }
        let (out, err) = finish(shell, &line);
        assert_eq!(out.trim_end(), "y", "{line}");
        assert!(!err.contains("mydocker"), "{line}: {err}");
        let status = fs::read_to_string(&file).expect("status");
        let expected = match options {
            "" => "1",
            "--init" => "141",
            _ => "129",
        };
        assert_eq!(status.trim(), expected, "{line}: {err}");
        if !options.is_empty() {
            assert_eq!(err, "", "{line}");
        }
    }
}

case!(a_time_limit, Needs::NAMESPACES | Needs::SLEEP | Needs::TIMEOUT | Needs::MEMORY);
/// As long as `timeout 1 sleep` takes, plus at most half a second; on a slow host, plus the duration of a run there,
/// measured just before. The best of five rounds counts: other processes may use the machine too.
fn a_time_limit() {
    let timed = |words: &[&str]| {
        let before = Instant::now();
        let child = start(Command::new("timeout").arg("1").args(words));
        let (out, err) = finish(child, &format!("{words:?}"));
        assert_eq!((out.as_str(), err.as_str()), ("", ""), "{words:?}");
        before.elapsed()
    };
    let plain = timed(&["sleep", "100"]);
    let file = mydocker_file().into_os_string().into_string().expect("UTF-8");
    for options in [&[][..], &["-t"], &["--init"], &["-t", "--init"], &["--pid", "host"], &["-m", "100m"]] {
        let name = crate::support::harness::unique_name();
        let run = [&[&file, "run", "--name", &name], options].concat();
        let in_time = |_| {
            let quick = timed(&[&run[..], &["true"]].concat());
            timed(&[&run[..], &["sleep", "100"]].concat()) < plain + quick + Duration::from_millis(500)
        };
        assert!((0..5).any(in_time), "{options:?}: no round ended in time");
        let left = host().directories(&format!("mydocker-{name}"));
        assert!(left.is_empty(), "{options:?} left {left:?}");
    }
}
