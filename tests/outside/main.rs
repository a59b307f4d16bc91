//! mydocker, driven from outside: each case runs the built file and looks at what that did to the host and the command.
//!
//! This file is two programs. Started plainly it is the tests. Started as `outside --probe NAME ...` it is a probe: the
//! command that the cases have mydocker run, which looks around inside and prints what it sees. So the cases need no
//! language and no tool inside, and the same file runs on a host that has nothing but busybox.
//!
//! `MYDOCKER=PATH` names the file to test; without it, it is the one that cargo built. `PATIENCE=SECONDS` says how long
//! anything may take before it counts as hanging. `TIMES=1` lists how long each case took, the slowest first.

// The C entry point, because std's own start-up ignores SIGPIPE and opens closed streams before a probe can look, and
// because std finds no arguments on musl when the entry point is another one.
#![no_main]

use libtest_mimic::{Arguments, Trial};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

mod folder;
mod harness;
mod host;
mod needs;
mod outcome;
mod probe;
mod probe_privilege;
mod probe_root;
mod probe_signals;
mod probe_terminal;
mod processes;
mod roots;
mod user_terminal;

mod arguments;
mod check;
mod cli;
mod descriptors;
mod dry_run;
mod environment;
mod exec_errors;
mod groups;
mod init;
mod input;
mod interactive;
mod layouts;
mod leftovers;
mod lesson;
mod limits;
mod limits_inside;
mod manual;
mod mounts;
mod namespaces;
mod oom;
mod pid_file;
mod pipelines;
mod privilege;
mod pty;
mod relay;
mod rootfs;
mod rootfs_attacks;
mod rootfs_images;
mod rootfs_real;
mod rootfs_user;
mod rootfs_volumes;
mod rootfs_writes;
mod rootless;
mod session;
mod settings;
mod signals;
mod stats;
mod status;
mod step;
mod terminal;
mod tmux;
mod trace;

/// One case: its name, what it needs of the host, and the test.
pub struct Case {
    name: String,
    needs: needs::Needs,
    test: fn(),
}

/// The cases of one module, by the name of their function and what each needs of the host.
#[macro_export]
macro_rules! cases {
    ($($name:ident: $needs:expr;)*) => {
        pub fn cases() -> Vec<$crate::Case> {
            vec![$($crate::Case::new(module_path!(), stringify!($name), $needs, $name)),*]
        }
    };
}

impl Case {
    pub fn new(module: &str, name: &str, needs: needs::Needs, test: fn()) -> Case {
        let module = module.rsplit("::").next().unwrap_or_default();
        Case { name: format!("{module}::{name}"), needs, test }
    }
}

fn all() -> Vec<Case> {
    [
        cli::cases(),
        input::cases(),
        arguments::cases(),
        environment::cases(),
        namespaces::cases(),
        mounts::cases(),
        descriptors::cases(),
        signals::cases(),
        terminal::cases(),
        pty::cases(),
        settings::cases(),
        relay::cases(),
        pipelines::cases(),
        init::cases(),
        interactive::cases(),
        tmux::cases(),
        status::cases(),
        exec_errors::cases(),
        limits::cases(),
        limits_inside::cases(),
        groups::cases(),
        layouts::cases(),
        oom::cases(),
        leftovers::cases(),
        session::cases(),
        stats::cases(),
        pid_file::cases(),
        check::cases(),
        rootfs::cases(),
        rootfs_writes::cases(),
        rootfs_images::cases(),
        rootfs_volumes::cases(),
        rootfs_user::cases(),
        rootfs_attacks::cases(),
        rootfs_real::cases(),
        dry_run::cases(),
        privilege::cases(),
        rootless::cases(),
        step::cases(),
        manual::cases(),
        trace::cases(),
        lesson::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// # Safety
///
/// The C library calls it, with `argc` pointers to strings that live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: as above
    let words: Vec<OsString> = (0..argc as usize)
        .map(|at| OsString::from_vec(unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes().to_vec()))
        .collect();
    if words.get(1).is_some_and(|word| word == "--probe") {
        // A panic may not leave this function; it has been printed, and the status is one that no probe gives.
        return std::panic::catch_unwind(|| probe::run_and_flush(&words)).unwrap_or(99);
    }
    // SAFETY: sets dispositions, before there are threads. Who runs this in the background, or under nohup, has some
    // ignored, and mydocker would heed that; and a case may write to a command that has ended.
    unsafe {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    run_tests(words)
}

fn run_tests(words: Vec<OsString>) -> c_int {
    let arguments = Arguments::from_iter(words);
    let mut not_run = Vec::new();
    let mut trials = Vec::new();
    let times = Arc::new(Mutex::new(Vec::new()));
    for case in all() {
        let missing = case.needs.missing();
        let test = case.test;
        let (name, times) = (case.name.clone(), times.clone());
        let trial = Trial::test(case.name.clone(), move || {
            let start = Instant::now();
            test();
            times.lock().unwrap_or_else(PoisonError::into_inner).push((start.elapsed(), name));
            Ok(())
        })
        .with_ignored_flag(missing.is_some());
        if let Some(reason) = missing
            && !arguments.list
            && !arguments.is_filtered_out(&trial)
            && arguments.is_ignored(&trial)
        {
            not_run.push((case.name, reason));
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
