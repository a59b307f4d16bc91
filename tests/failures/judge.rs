//! Whether a run ended as it must, and whether it left nothing.

use crate::host::host;
use crate::program::STATUS;
use crate::table::{Effect, effect, may_leave};
use crate::trace::{Call, Traced};
use std::fs;
use std::path::Path;
use std::process::ExitStatus;

/// How the scenario ends when nothing is made to fail.
#[derive(Clone, Copy)]
pub enum Base {
    /// The command runs.
    Works,
    /// mydocker refuses, with this status and these words in its message, when this call fails by itself.
    Refuses(i32, &'static str, &'static str),
}

/// What a run came to, for the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing was run, and a message said why.
    Ended,
    /// The command ran, in spite of a failure before it.
    Survived,
    /// The failure came after the command had been let go.
    After,
    /// The call that was to fail was never made.
    NotReached,
    /// A call was slowed down.
    Slowed,
    /// A control file took a value in name only.
    Lie,
}

/// A call that was made to fail, and what that has to lead to.
type Failure<'a> = (&'a Call, Effect);

/// What is wrong with the end of this run, if anything.
pub fn end(scenario: &str, base: Base, run: &Traced) -> (Kind, Vec<String>) {
    let failures: Vec<Failure> =
        run.calls.iter().filter(|call| call.injected()).map(|call| (call, effect(scenario, run, call))).collect();
    let any = |wanted: fn(&Effect) -> bool| failures.iter().any(|(_, effect)| wanted(effect));
    let executed = run.executed().is_some();
    let kind = match executed {
        _ if failures.is_empty() => Kind::NotReached,
        false => Kind::Ended,
        true if any(|effect| matches!(effect, Effect::Warned(_))) => Kind::After,
        true => Kind::Survived,
    };
    let Some(status) = run.status else {
        return (kind, vec![format!("hangs; standard error {:?}; its last calls:\n{}", run.stderr, last_calls(run))]);
    };
    if any(|effect| *effect == Effect::NotOurs) {
        return (kind, Vec::new());
    }
    let mut wrong = Vec::new();
    if !run.stdout.is_empty() {
        wrong.push(format!("standard output is not empty: {:?}", run.stdout));
    }
    if let Some(line) = run.stderr.lines().find(|line| !line.starts_with("mydocker: ")) {
        wrong.push(format!("a line that is no message: {line:?}"));
    }
    if any(|effect| *effect == Effect::Mute) {
        let expected = if let Base::Refuses(status, ..) = base { status } else { STATUS };
        if status.code() != Some(expected) || !run.stderr.is_empty() {
            wrong.push(format!("its message could not be written, and it ended with {status}, {:?}", run.stderr));
        }
    } else if executed {
        wrong.extend(after_execve(run, status, &failures));
    } else {
        wrong.extend(without_execve(base, run, status, &failures));
    }
    (kind, wrong)
}

/// The command ran: its status stands, with one warning at most, and none for what is to be survived.
fn after_execve(run: &Traced, status: ExitStatus, failures: &[Failure]) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some((call, _)) = failures.iter().find(|(_, effect)| *effect == Effect::Ends) {
        wrong.push(format!("the command was run, although {} failed before", call.name));
    }
    let quiet = failures.iter().all(|(_, effect)| matches!(effect, Effect::Survived(_) | Effect::Either(_)));
    if status.code() != Some(STATUS) {
        wrong.push(format!("the command was run, and its status {STATUS} became {status}; {:?}", run.stderr));
    } else if run.stderr.lines().count() > usize::from(!quiet) {
        wrong.push(format!("it says more than it should: {:?}", run.stderr));
    }
    wrong
}

/// Nothing was run: that must have a reason, and the reason must be said, in one line.
fn without_execve(base: Base, run: &Traced, status: ExitStatus, failures: &[Failure]) -> Vec<String> {
    let mut wrong = Vec::new();
    let reasons: Vec<&Call> =
        failures.iter().filter(|(_, effect)| !matches!(effect, Effect::Survived(_))).map(|(call, _)| *call).collect();
    if matches!(base, Base::Works) && reasons.is_empty() {
        return vec![format!("the command was not run: {status}, {:?}", run.stderr)];
    }
    if run.stderr.lines().count() != 1 {
        wrong.push(format!("not one line: {:?}", run.stderr));
    }
    let mut statuses = if run.stderr.starts_with("mydocker: execve ") { vec![126, 127] } else { vec![125] };
    let mut base_said = false;
    if let Base::Refuses(status, words, name) = base {
        base_said = run.stderr.contains(words);
        let own = |call: &&Call| call.name == name && call.result.starts_with("-1 ") && !call.injected();
        let first = run.calls.iter().find(own).map_or(usize::MAX, |call| call.returned);
        // The reason comes up the error pipe; what cannot be read cannot be said.
        let lost = reasons.iter().any(|call| call.name == "read" && call.arguments.contains("<pipe:"));
        if !base_said && !lost && reasons.iter().all(|call| call.began > first) {
            wrong.push(format!("what failed first is not said ({words:?}), but {:?}", run.stderr));
        }
        if base_said {
            statuses = vec![status];
        } else if lost {
            statuses.push(status);
        }
    }
    if !base_said && let Some(what) = unnamed(&run.stderr, &reasons) {
        wrong.push(what);
    }
    if !status.code().is_some_and(|code| statuses.contains(&code)) {
        wrong.push(format!("{status}, with {:?}", run.stderr));
    }
    wrong
}

/// What the message lacks, if it lacks anything: the call, its errno, what it was about.
fn unnamed(message: &str, reasons: &[&Call]) -> Option<String> {
    let start = |call: &Call| [' ', ':'].map(|after| format!("mydocker: {}{after}", call.name));
    let named: Vec<&Call> =
        reasons.iter().copied().filter(|call| start(call).iter().any(|start| message.starts_with(start))).collect();
    let Some(first) = named.first() else {
        return Some(format!("the message names no call that failed: {message:?}"));
    };
    let errno = first.result.split(' ').nth(1).unwrap_or_default();
    if !message.contains(errno) {
        return Some(format!("the message lacks {errno}: {message:?}"));
    }
    let objects: Vec<String> = named.iter().filter_map(|call| call.object()).collect();
    let about = objects.is_empty() || objects.iter().any(|object| message.contains(object.as_str()));
    (!about).then(|| format!("the message names none of {objects:?}: {message:?}"))
}

fn last_calls(run: &Traced) -> String {
    let told = run.told();
    let lines: Vec<&str> = told.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

/// The mounts of this process, which a run must not change.
pub fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_else(|error| format!("/proc cannot be read: {error}"))
}

/// What is left of a run, by what belongs to it: its directories in every hierarchy, its processes, mounts, files.
/// Removes what it finds, so that the next run starts as this one did.
pub fn left(run: &Traced, mounts_before: &str, folder: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for pid in run.pids() {
        // Whoever has this number by now and is something else is not ours; a dead one waits only to be reaped, by init.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ours = ["(mydocker) ", "(leaves) "].iter().find_map(|name| stat.split_once(name));
        if ours.is_some_and(|(_, state)| !state.starts_with(['Z', 'X'])) {
            left.push(format!("process {}", stat.split(' ').take(3).collect::<Vec<_>>().join(" ")));
            // SAFETY: kill takes two numbers
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    let excused = run.calls.iter().any(|call| call.injected() && may_leave(call).is_some());
    for directory in host().directories(&format!("mydocker-{}", run.mydocker)) {
        if !excused {
            left.push(format!("directory {}", directory.display()));
        }
        if let Err(error) = fs::remove_dir(&directory) {
            left.push(format!("which cannot be removed: {error}"));
        }
    }
    let mounts_after = mounts();
    if mounts_after != mounts_before {
        let new: Vec<&str> =
            mounts_after.lines().filter(|line| !mounts_before.lines().any(|old| old == *line)).collect();
        left.push(format!("mounts: {new:?}"));
        // The one mount that a run makes; when it covers ours, nothing about ourselves can be read.
        let covered = new.iter().any(|line| line.contains(" /proc ") || line.starts_with("/proc "));
        if covered && let Err(error) = rustix::mount::unmount("/proc", rustix::mount::UnmountFlags::DETACH) {
            left.push(format!("which cannot be unmounted: {error}"));
        }
    }
    for entry in fs::read_dir(folder.join("empty")).into_iter().flatten().flatten() {
        left.push(format!("file {}", entry.path().display()));
    }
    left
}
