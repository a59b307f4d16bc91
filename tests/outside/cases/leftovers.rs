//! What stays behind: nothing after a run; of a killed mydocker, nothing after the runs that follow; and nothing is
//! taken from a live container.

use crate::support::harness::{Running, probe, unique_name, waiting_container};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use crate::support::processes::wait_for_end;
use libc::SIGKILL;
use std::os::unix::process::ExitStatusExt;

/// Kills mydocker with SIGKILL, sees its container end while its standard input stays open, and gives the name of the
/// directories that it may have left.
fn kill(running: Running) -> String {
    let directory = running.directory_name();
    let inside = running.command_pid();
    running.send(SIGKILL);
    let outcome = running.reap_with_stdin_open();
    assert_eq!(outcome.status.signal(), Some(SIGKILL), "{outcome:?}");
    assert!(wait_for_end(inside), "the command outlived its mydocker");
    directory
}

case!(fifty_at_once, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
fn fifty_at_once() {
    let names: Vec<String> = (0..50).map(|_| unique_name()).collect();
    let start = |name: &String| probe(&["-m", "100m", "--cpu-shares=512", "--name", name], &["hold"]).start();
    let all: Vec<Running> = names.iter().map(start).collect();
    for running in &all {
        running.await_output("ready");
    }
    for running in all {
        // Each run looks for its own directories.
        running.finish().success();
    }
    for name in names {
        assert!(host().directories(&format!("mydocker-{name}")).is_empty(), "{name} was made again by another process");
    }
}

case!(the_container_dies_with_mydocker, Needs::NAMESPACES | Needs::MEMORY);
fn the_container_dies_with_mydocker() {
    kill(waiting_container(&["-m", "100m"]));
    kill(waiting_container(&["--no-limits"]));
    // Without a group: the sweep of another run would end what is left in one.
    kill(waiting_container(&["--pid", "host", "--no-limits"]));
}

case!(later_runs_sweep, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
fn later_runs_sweep() {
    let left: Vec<String> = (0..3)
        .map(|_| kill(waiting_container(&["-m", "100m", "--cpu-shares", "512", "--name", &unique_name()])))
        .collect();
    // A run sweeps at most eight candidates, in one hierarchy at a time, and other cases leave directories too.
    let swept = (0..100).any(|_| {
        probe(&[], &["status", "0"]).finish().silent(0);
        left.iter().all(|name| host().directories(name).is_empty())
    });
    let there: Vec<_> = left.iter().flat_map(|name| host().directories(name)).collect();
    assert!(swept, "after 100 runs: {there:?}");
}

case!(a_live_container_is_not_swept, Needs::NAMESPACES | Needs::MEMORY);
fn a_live_container_is_not_swept() {
    let running = waiting_container(&["-m", "100m", "--name", &unique_name()]);
    let before = host().directories(&running.directory_name());
    assert!(!before.is_empty());
    for _ in 0..30 {
        probe(&["-m", "100m"], &["status", "0"]).finish().silent(0);
    }
    assert_eq!(host().directories(&running.directory_name()), before);
    let path = host().path_of_group("memory", running.command_pid());
    assert!(path.ends_with(&running.directory_name()), "{path}");
    running.finish().success();
}

case!(a_name_that_is_running, Needs::NAMESPACES | Needs::MEMORY);
fn a_name_that_is_running() {
    let name = unique_name();
    let running = waiting_container(&["-m", "100m", "--name", &name]);
    let before = host().directories(&running.directory_name());
    for limits in [&["-m", "50m"][..], &[], &["--pids-limit", "5", "-m", "50m"]] {
        let options: Vec<&str> = limits.iter().copied().chain(["--name", name.as_str()]).collect();
        let second = probe(&options, &["status", "0"]).start();
        second.reap().refused(125, &[&name, "running"]);
        // The first one's directories still exist, and no others.
        assert_eq!(host().directories(&running.directory_name()), before, "{options:?}");
    }
    running.finish().success();
}

case!(a_name_that_was_left, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
/// Leftovers are made anew: a limit that the first run had and the second has not does not persist.
fn a_name_that_was_left() {
    let name = unique_name();
    kill(waiting_container(&["-m", "100m", "--cpus", "0.5", "--name", &name]));
    let running = waiting_container(&["-m", "60m", "--name", &name]);
    let path = host().path_of_group("memory", running.command_pid());
    assert!(path.ends_with(&format!("/mydocker-{name}")), "{path}");
    let (file, none) = if on_v2("cpu") { ("cpu.max", "max 100000") } else { ("cpu.cfs_quota_us", "-1") };
    let group = host().group("cpu", running.command_pid());
    assert_eq!(std::fs::read_to_string(group.join(file)).expect(file).trim(), none);
    running.finish().success();
}

case!(a_name_can_be_used_again, Needs::NAMESPACES | Needs::MEMORY);
fn a_name_can_be_used_again() {
    let name = unique_name();
    for status in ["1", "2", "3"] {
        let outcome = probe(&["-m", "100m", "--name", &name], &["status", status]).finish();
        outcome.silent(status.parse().expect("a number"));
    }
}
