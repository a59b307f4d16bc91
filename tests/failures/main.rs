//! Every failure once: takes the calls of a run from strace, and makes each of them fail, one at a time, with each errno
//! that it can give. Whatever fails before execve, the end is a message that names it, or a run that worked; whatever
//! fails after it, the command's status stands; and nothing stays: no process, no cgroup, no mount, no file.
//!
//! One trial for each scenario and call. Which failures a run has to survive, and why, stands in `table.rs`.
//!
//! Trials run one after the other: a directory that one run leaves would be swept by another before anyone looked.

use crate::host::{host, tool};
use crate::limits::{control_files_that_lie, delay_each, look};
use crate::needs::Needs;
use crate::scenario::{POINTS, Scenario, leftovers, scenarios};
use crate::totals::TOTALS;
use libtest_mimic::{Arguments, Trial};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

#[path = "../outside/host.rs"]
mod host;
mod judge;
mod limits;
#[allow(dead_code, reason = "the cases of tests/outside need more than these")]
#[path = "../outside/needs.rs"]
mod needs;
#[allow(dead_code, reason = "as above")]
#[path = "../outside/processes.rs"]
mod processes;
mod program;
mod scenario;
mod table;
mod totals;
mod trace;

/// A folder with the program, and an empty folder to start in.
fn make_folder() -> io::Result<&'static Path> {
    let path = env::temp_dir().join(format!("mydocker-failures-{}", std::process::id()));
    fs::create_dir_all(path.join("empty"))?;
    program::leaves(&path)?;
    Ok(Box::leak(path.into_boxed_path()))
}

/// Removes the folder, and the leftovers of our own making that no run has swept.
fn clean_up(folder: &Path) -> io::Result<()> {
    if host().root && host().mounted && strace_missing().is_none() {
        for directory in leftovers().into_iter().filter(|directory| directory.exists()) {
            fs::remove_dir(directory)?;
        }
    }
    fs::remove_dir_all(folder)
}

/// Why strace cannot do it here, with the command that mends it.
fn strace_missing() -> Option<String> {
    let mend = "apt-get install strace (4.17 or newer)";
    let Some(strace) = tool("strace") else { return Some(format!("no strace in PATH: {mend}")) };
    let probe = Command::new(strace)
        .args(["-f", "-o", "/dev/null", "-e", "inject=execve:error=EPERM:when=999", "true"])
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Some(format!(
                "strace cannot inject here ({said}): {mend}, and allow ptrace (sysctl kernel.yama.ptrace_scope=1)"
            ))
        }
        Err(error) => Some(format!("strace cannot be started ({error}): {mend}")),
    }
}

/// A mount namespace of our own in which everything is shared: what a run lets out comes here, where it is seen, and not
/// to the host.
fn own_mounts() -> io::Result<()> {
    // SAFETY: a new mount namespace changes nothing that memory safety rests on
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    Ok(())
}

/// The trials, and those that cannot run here with the reason.
fn trials(folder: &'static Path, not_run: &mut Vec<(String, String)>) -> Vec<Trial> {
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
    for scenario in scenarios() {
        let scenario: &'static Scenario = Box::leak(Box::new(scenario));
        if let Some(reason) = scenario.needs.missing() {
            missing(&mut trials, scenario.name.into(), reason);
            continue;
        }
        let calls = match scenario.calls(folder) {
            Ok(calls) => calls,
            Err(error) => {
                trials.push(Trial::test(scenario.name, move || Err(error)));
                continue;
            }
        };
        for (call, times) in calls {
            if !scenario.only.is_empty() && !scenario.only.contains(&call.as_str()) {
                continue;
            }
            if scenario.name == "full" && table::errnos(&call).is_some_and(|errnos| !errnos.is_empty()) {
                match Needs::MOUNTED.missing() {
                    None => {
                        let call = call.clone();
                        let name = format!("slow::{call}");
                        trials.push(Trial::test(name, move || delay_each(folder, &call, times)));
                    }
                    Some(reason) => missing(&mut trials, format!("slow::{call}"), reason),
                }
            }
            let name = format!("{}::{call}", scenario.name);
            trials.push(Trial::test(name, move || scenario.fail_each(folder, &call, times)));
        }
        if scenario.name == "full" {
            trials.push(Trial::test("lies::write", move || control_files_that_lie(folder, scenario)));
        }
    }
    trials
}

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|word| word == "--look") {
        look();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if rustix::process::geteuid().is_root()
        && let Err(error) = own_mounts()
    {
        println!("no mount namespace of our own ({error}): mounts that a run lets out may not be seen");
    }
    let points = host().points.iter().rev().filter_map(|point| CString::new(point.as_str()).ok()).collect();
    POINTS.get_or_init(|| points);
    let folder = make_folder().expect("a folder in the temporary directory");
    let mut not_run = Vec::new();
    let conclusion = libtest_mimic::run(&arguments, trials(folder, &mut not_run));
    if !arguments.list {
        for (name, reason) in &not_run {
            println!("not run here: {name}: {reason}");
        }
        TOTALS.print();
    }
    if let Err(error) = clean_up(folder) {
        println!("{}: {error}", folder.display());
    }
    if conclusion.has_failed() { ExitCode::from(101) } else { ExitCode::SUCCESS }
}
