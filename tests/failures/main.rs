//! Every failure once: records the calls of a run with strace, and then makes each of them fail, one at a time, with
//! each errno that it can give, in mydocker itself and in its child. If a call before execve fails, the run ends with a
//! message that names the call, or works; if a call after it fails, the command's status is kept; and nothing stays
//! behind: no process, no cgroup, no mount, no file.
//!
//! There is one trial for each scenario and call. `table.rs` says which failures a run must survive, and why.
//!
//! Trials run in parallel, each in cgroups of its own: otherwise one run would sweep the directory that another one
//! left before this test could see it.
//!
//! This file is four programs: the tests; `--make-calls`, which becomes mydocker (see `trace.rs`); and `--look` and `--serve`,
//! commands that run inside the container.

// The C entry point: std's start-up code makes system calls, ignores SIGPIPE, and finds no arguments on musl.
#![no_main]

use crate::limits::{control_files_that_lie, delay_each, print_limits};
use crate::preparation::make_programs;
use crate::scenario::Scenario;
use crate::scenarios::{POINTS, scenarios};
use crate::support::folder::Folder;
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use crate::totals::TOTALS;
use crate::worker::{drop_workers, make_workers};
use libtest_mimic::{Arguments, Trial};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;
use std::{env, io};

#[allow(dead_code, reason = "tests/load uses the rest")]
#[path = "../load/cgroup_parent.rs"]
mod cgroup_parent;
mod container;
mod judge;
mod limits;
mod network;
mod preparation;
mod program;
mod relayed;
mod scenario;
mod scenarios;
#[allow(dead_code, reason = "the cases of tests/outside use the rest")]
#[path = "../outside/support/mod.rs"]
mod support;
mod table;
mod totals;
mod trace;
mod worker;

/// Why strace cannot inject failures here, and the command that fixes it.
fn strace_missing() -> Option<String> {
    let fix = "apt-get install strace (4.17 or newer)";
    let Some(strace) = tool("strace") else { return Some(format!("no strace in PATH: {fix}")) };
    let probe = Command::new(strace)
        .args(["-f", "-o", "/dev/null", "-e", "inject=execve:error=EPERM:when=999", "true"])
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Some(format!(
                "strace cannot inject here ({said}): {fix}, and allow ptrace (sysctl kernel.yama.ptrace_scope=1)"
            ))
        }
        Err(error) => Some(format!("strace cannot be started ({error}): {fix}")),
    }
}

/// Enters a new mount namespace in which every mount is shared: a mount that leaks from a run becomes visible here, and
/// does not reach the host.
fn own_mounts() -> io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    Ok(())
}

/// The trials; those that cannot run here are added to `not_run` with the reason.
fn trials(folder: &'static Path, filter: Option<&str>, not_run: &mut Vec<(String, String)>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut missing = |trials: &mut Vec<Trial>, name: String, reason: String| {
        trials.push(Trial::test(name.clone(), || Ok(())).with_ignored_flag(true));
        not_run.push((name, reason));
    };
    if let Some(reason) = strace_missing() {
        if env::var_os("CI").is_some_and(|ci| ci == "true") {
            trials.push(Trial::test("strace", move || Err(reason.into())));
        } else {
            missing(&mut trials, "strace".into(), reason);
        }
        return trials;
    }
    let mut scenarios = scenarios(folder);
    // With a filter such as `stop::flock` the others need not be recorded.
    let only = filter.and_then(|filter| filter.split_once("::")).map(|(name, _)| name);
    if scenarios.iter().any(|scenario| Some(scenario.name) == only) {
        scenarios.retain(|scenario| Some(scenario.name) == only);
    }
    for scenario in scenarios {
        let scenario: &'static Scenario = Box::leak(Box::new(scenario));
        if let Some(reason) = scenario.needs.missing() {
            missing(&mut trials, scenario.name.into(), reason);
            continue;
        }
        let calls = match scenario.calls() {
            Ok(calls) => calls,
            Err(error) => {
                trials.push(Trial::test(format!("{}::unharmed", scenario.name), move || Err(error)));
                continue;
            }
        };
        let is_verb = matches!(scenario.base, judge::Base::Answers);
        for only in scenario.only.iter().filter(|only| !is_verb && !calls.contains_key(**only)) {
            let error = "no run of this scenario makes this call: what is it to show?";
            trials.push(Trial::test(format!("{}::{only}", scenario.name), move || Err(error.into())));
        }
        for (call, occurrences) in calls {
            if !scenario.only.is_empty() && !scenario.only.contains(&call.as_str()) {
                continue;
            }
            if scenario.name == "full" && table::errnos(&call).is_some_and(|errnos| !errnos.is_empty()) {
                match Needs::MOUNTED.missing() {
                    None => {
                        let call = call.clone();
                        let name = format!("slow::{call}");
                        let trial = move || delay_each(scenario, &call, occurrences);
                        trials.push(Trial::test(name, trial));
                    }
                    Some(reason) => missing(&mut trials, format!("slow::{call}"), reason),
                }
            }
            if scenario.name == "full" && call == "write" {
                let trial = move || control_files_that_lie(scenario, occurrences);
                trials.push(Trial::test("lies::write", trial));
            }
            let name = format!("{}::{call}", scenario.name);
            trials.push(Trial::test(name, move || scenario.fail_each(&call, occurrences)));
        }
    }
    trials
}

/// # Safety
///
/// The C library calls it, with `argc` pointers to strings that live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes argc pointers to NUL-terminated strings
    let words: Vec<OsString> = (0..argc as usize)
        .map(|at| OsString::from_vec(unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes().to_vec()))
        .collect();
    match words.get(1).and_then(|word| word.to_str()) {
        Some("--serve") => relayed::serve(),
        Some(trace::MAKE_CALLS) => trace::make_calls(words),
        Some("--look") => {
            print_limits();
            // The C library's exit does not flush std's buffers.
            io::stdout().flush().map_or(1, |()| 0)
        }
        _ => run_tests(words),
    }
}

/// Resets the two signals that the C library reserves: a parent that used posix_spawn has left them ignored, and the C
/// library of this process installs its handlers with the first thread. mydocker must find the same state whenever it
/// is started.
fn reset_library_signals() {
    for signal in [32, 33] {
        // SAFETY: rt_sigaction reads one struct sigaction of four words, and writes none
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, [0u64; 4].as_ptr(), 0usize, 8usize) };
    }
}

fn run_tests(words: Vec<OsString>) -> c_int {
    reset_library_signals();
    let mut arguments = Arguments::from_iter(words);
    if rustix::process::geteuid().is_root()
        && let Err(error) = own_mounts()
    {
        println!("no mount namespace of our own ({error}): mounts that leak from a run may go unnoticed");
    }
    let points = host().points.iter().rev().filter_map(|point| CString::new(point.as_str()).ok()).collect();
    POINTS.get_or_init(|| points);
    let temporary = Folder::new();
    // The scenarios live as long as the process, and their words contain this path.
    let folder: &'static Path = Box::leak(temporary.as_path().into());
    make_programs(folder).expect("write of the programs");
    let workers = make_workers(folder).expect("groups of our own");
    // A failure in one trial must not show in another: there are as many threads as workers.
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(workers).clamp(1, workers));
    let mut not_run = Vec::new();
    let trials = trials(folder, arguments.filter.as_deref(), &mut not_run);
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        for (name, reason) in &not_run {
            println!("not run here: {name}: {reason}");
        }
        TOTALS.print();
    }
    drop_workers();
    if let Err(error) = temporary.close() {
        println!("{error}");
    }
    let flushed = io::stdout().flush().is_ok();
    if conclusion.has_failed() || !flushed { 101 } else { 0 }
}
