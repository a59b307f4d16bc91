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

use crate::support::needs::is_virtual_host;
use crate::support::notes::print_notes;
use libtest_mimic::{Arguments, Trial};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::num::NonZero;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

mod support;
#[macro_use]
mod probes;
mod cases;
mod virtual_hosts;

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

fn run_tests(words: Vec<OsString>) -> c_int {
    let mut arguments = Arguments::from_iter(words);
    if arguments.test_threads.is_none() && !is_virtual_host() {
        // Half of a case is waiting. On an emulated processor it is not.
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        arguments.test_threads = Some(processors + processors.div_ceil(2));
    }
    let mut not_run = Vec::new();
    let mut trials = Vec::new();
    let times = Arc::new(Mutex::new(Vec::new()));
    virtual_hosts::check_lists();
    for case in cases::all() {
        let missing = (case.needs)().missing().or_else(|| virtual_hosts::not_there(&case.name()));
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
    print_notes();
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
