//! mydocker, tested from outside: each case runs the built file and checks its effect on the host and on the command.
//!
//! This file is two programs. Without `--probe` it is the tests. As `outside --probe NAME ...` it is a probe: the
//! command that the cases make mydocker run, which looks around inside the container and prints what it sees. So the
//! cases need no language and no tool inside, and the same file runs on a host that has only busybox.
//!
//! `MYDOCKER=PATH` names the file to test; by default it is the one that cargo built. `PATIENCE=SECONDS` says how long
//! anything may take before it counts as hanging. `TIMES=1` lists how long each case took, the slowest first.

// The C entry point, because std's start-up code ignores SIGPIPE and opens closed streams before a probe can look, and
// because std finds no arguments on musl when another entry point is used.
#![no_main]

use crate::support::needs::virtual_host;
use libtest_mimic::{Arguments, Trial};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

mod support;
#[macro_use]
mod probes;
mod cases;

/// # Safety
///
/// The C library calls it, with `argc` pointers to strings that live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes argc pointers to NUL-terminated strings
    let words: Vec<OsString> = (0..argc as usize)
        .map(|at| OsString::from_vec(unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes().to_vec()))
        .collect();
    if words.get(1).is_some_and(|word| word == "--probe") {
        // A panic must not leave this function. It has been printed; no probe gives this status.
        return std::panic::catch_unwind(|| probes::run_and_flush(&words)).unwrap_or(99);
    }
    // SAFETY: sets dispositions to SIG_DFL and SIG_IGN before there are threads. A background job, or one under nohup,
    // has some of these signals ignored, and mydocker would respect that; and a case may write to a command that has
    // ended. The C library keeps 32 and 33 to itself, and musl's posix_spawn makes its child ignore them: only the bare
    // call, with a struct sigaction of zeros, sets them.
    unsafe {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            libc::signal(signal, libc::SIG_DFL);
        }
        for signal in [32, 33] {
            libc::syscall(libc::SYS_rt_sigaction, signal, [0u64; 4].as_ptr(), 0, 8);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        // What the caller has open besides the three streams is no concern of a run: cases name free descriptors by number.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    run_tests(words)
}

/// Cases that no virtual host runs: on an emulated processor the neighbour who exchanges paths goes on after the last check, and a
/// moment that is to be met is over.
const NOT_ON_VIRTUAL_HOSTS: &[&str] = &["lifecycle_exec::a_signal_while_its_child_leaves", "races::"];

/// The virtual hosts that differ from `v2` in nothing but their cgroups and their mounts.
const LAYOUTS: &[&str] = &["v1", "v1-joined", "hybrid", "none", "odd-path", "moved", "nested"];

/// Cases of words, streams, signals, terminals and networks. They are the same on every layout, and run on the other virtual hosts.
const SAME_ON_EVERY_LAYOUT: &[&str] = &[
    "arguments::",
    "callers_group::",
    "cli::",
    "descriptors::",
    "docker::",
    "exec_errors::",
    "init::",
    "input::",
    "interactive::",
    "lifecycle_detached::a_full_disk",
    "lifecycle_detached::a_log",
    "lifecycle_exec::mydocker_is_masked",
    "lifecycle_exec::the_host_is_not_seen",
    "lifecycle_restart::its_restarts_end_for_good",
    "network",
    "peers_ids::",
    "peers_limits::limits_of_every_resource",
    "peers_limits::parameters_of_the_kernel",
    "peers_limits::what_is_refused",
    "pipelines::",
    "pty::",
    "rehearsal::it_only_looks",
    "relay::",
    "script::a_node",
    "script::a_script",
    "script::in_",
    "script::no_command",
    "script::the_",
    "script::what_",
    "script::with_",
    "settings::",
    "signals::",
    "status::",
    "step::",
    "streams::",
    "terminal::",
    "trace::",
];

/// Of those, the ones that `v1` runs too: what a bridge takes from the kernel, beside the groups of each hierarchy.
const ON_V1_TOO: &[&str] = &[
    "network::a_bridge_that_another_one_makes",
    "network::a_killed_mydocker_leaves_no_port",
    "network::a_port_leads_inside",
    "network::an_address_on_the_bridge",
    "network::names_on_the_bridge",
];

/// Of these layouts, those whose mounts are another matter too: a root that is not shared, and mounts that were moved.
const LAYOUTS_OF_MOUNTS: &[&str] = &["v1", "moved"];

/// Cases of roots and volumes. They are the same on all layouts but these.
const SAME_WITH_THE_SAME_MOUNTS: &[&str] = &["boundary::nodes", "peers_mounts::", "rootfs"];

/// Cases of scripts, whose text is that of any architecture, though on `aarch64` the two that go through the options stay; and those
/// that take long for their amounts, or for how often they try.
const SAME_ON_EVERY_ARCHITECTURE: &[&str] = &[
    "arguments::many_words",
    "arguments::more_than_the_kernel_takes",
    "lifecycle_detached::a_thousand_processes",
    "lifecycle_exec::mydocker_is_masked",
    "lifecycle_exec::the_host_is_not_seen",
    "network::what_fails_costs_the_relay_no_memory",
    "network_relay::connections_leave_nothing_in_it",
    "relay::a_hundred_megabytes",
    "relay::a_slow_reader_loses_nothing",
    "relay::memory_does_not_grow",
    "rootfs_volumes::hundreds_of_targets",
    "script::a_",
    "script::in_",
    "script::no_command",
    "script::the_",
    "script::what_",
    "script::with_",
    "signals::a_signal_during_the_start_is_not_lost",
];

/// Why a case does not run on this virtual host.
fn not_there(name: &str) -> Option<String> {
    let host = virtual_host()?;
    let is_one_of = |list: &[&str]| list.iter().any(|listed| name.starts_with(listed));
    if is_one_of(NOT_ON_VIRTUAL_HOSTS) {
        return Some("an emulated processor is too slow for it".into());
    }
    let is_same = match &*host {
        "aarch64" => is_one_of(SAME_ON_EVERY_ARCHITECTURE),
        host if !LAYOUTS.contains(&host) => false,
        host => {
            let same_mounts = !LAYOUTS_OF_MOUNTS.contains(&host);
            let here_too = host == "v1" && is_one_of(ON_V1_TOO);
            is_one_of(SAME_ON_EVERY_LAYOUT) && !here_too || same_mounts && is_one_of(SAME_WITH_THE_SAME_MOUNTS)
        }
    };
    is_same.then(|| "it is the same as on v2".into())
}

fn run_tests(words: Vec<OsString>) -> c_int {
    let arguments = Arguments::from_iter(words);
    let mut not_run = Vec::new();
    let mut trials = Vec::new();
    let times = Arc::new(Mutex::new(Vec::new()));
    for case in cases::all() {
        let missing = (case.needs)().missing().or_else(|| not_there(&case.name()));
        let times = times.clone();
        let trial = Trial::test(case.name(), move || {
            let start = Instant::now();
            (case.test)();
            times.lock().unwrap_or_else(PoisonError::into_inner).push((start.elapsed(), case.name()));
            Ok(())
        })
        .with_ignored_flag(missing.is_some());
        if let Some(reason) = missing
            && !arguments.list
            && !arguments.is_filtered_out(&trial)
            && arguments.is_ignored(&trial)
        {
            not_run.push((case.name(), reason));
        }
        trials.push(trial);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (name, reason) in &not_run {
        println!("not run here: {name}: {reason}");
    }
    if std::env::var_os("TIMES").is_some() {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort();
        times.iter().rev().for_each(|(time, name)| println!("time {:.2} s {name}", time.as_secs_f64()));
    }
    if conclusion.has_failed() { 101 } else { 0 }
}
