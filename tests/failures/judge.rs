//! Judges whether a run ended as it must, and whether it left anything behind.

use crate::preparation::Preparation;
use crate::program::STATUS;
use crate::scenario::Scenario;
use crate::table::{Effect, effect, may_stay_in_network};
use crate::trace::{Call, Traced};
use crate::worker::Worker;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How the scenario ends when no call is made to fail.
#[derive(Clone, Copy)]
pub enum Base {
    /// The command runs.
    Works,
    /// A command about containers, which executes nothing itself: it ends with 0.
    Answers,
    /// mydocker refuses with this status, with these words in its message, because this call fails by itself.
    Refuses(i32, &'static str, &'static str),
}

/// How a run ended, for the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command did not run, and a message said why.
    Ended,
    /// The command ran although a call had failed before it.
    Survived,
    /// The failure came after the command had been released.
    After,
    /// The failure hit the start-up code of the C library.
    Library,
    /// The call that was to fail was never made.
    NotReached,
    /// The same call failed on every occurrence.
    ForEver,
    /// A call was slowed down.
    Slowed,
    /// A control file only claimed to have taken a value.
    Lie,
}

/// A call that was made to fail, and the effect that this must have.
type Failure<'a> = (&'a Call, Effect);

/// What is wrong with the end of this run, if anything.
pub fn end(scenario: &Scenario, run: &Traced) -> (Kind, Vec<String>) {
    if run.mydocker == 0 {
        return (Kind::NotReached, vec![format!("mydocker was not started: {:?}, {:?}", run.status, run.stderr)]);
    }
    let failures: Vec<Failure> =
        run.calls.iter().filter(|call| call.injected()).map(|call| (call, effect(scenario.name, run, call))).collect();
    let any = |wanted: fn(&Effect) -> bool| failures.iter().any(|(_, effect)| wanted(effect));
    let executed = run.executed().is_some();
    let library = any(|effect| *effect == Effect::Library);
    let kind = match executed {
        _ if failures.is_empty() => Kind::NotReached,
        _ if library => Kind::Library,
        false => Kind::Ended,
        true if any(|effect| matches!(effect, Effect::Warned(_) | Effect::HangsUp(_))) => Kind::After,
        true => Kind::Survived,
    };
    let Some(status) = run.status else {
        return (kind, vec![format!("hangs; standard error {:?}; its last calls:\n{}", run.stderr, last_calls(run))]);
    };
    if library {
        return (kind, Vec::new());
    }
    if matches!(scenario.base, Base::Answers) {
        let kind = if status.success() { Kind::Survived } else { Kind::Ended };
        let wrong = answer(scenario, run, status, &failures);
        return (if failures.is_empty() { Kind::NotReached } else { kind }, wrong);
    }
    let mut wrong = Vec::new();
    let loses = any(|effect| matches!(effect, Effect::Loses(_) | Effect::HangsUp(_)));
    // A run that continues after a failure prints its whole output; a run that ends prints nothing.
    let expected = if executed { scenario.stdout } else { "" };
    if run.stdout != expected && !(loses && executed) {
        wrong.push(format!("standard output is {:?}, not {expected:?}:\n{}", run.stdout, run.listing()));
    }
    wrong.extend(foreign_lines(run));
    if any(|effect| *effect == Effect::Mute) {
        let expected = if let Base::Refuses(status, ..) = scenario.base { status } else { STATUS };
        if status.code() != Some(expected) || !run.stderr.is_empty() {
            wrong.push(format!("its message could not be written, and it ended with {status}, {:?}", run.stderr));
        }
    } else if executed {
        wrong.extend(after_execve(scenario, run, status, &failures));
    } else {
        wrong.extend(without_execve(scenario, run, status, &failures));
    }
    (kind, wrong)
}

/// What is wrong with the end of a run in which one call failed on every occurrence. Whichever call it was, the run
/// ends, with a fitting status, and no message is printed twice.
pub fn end_for_ever(run: &Traced) -> (Kind, Vec<String>) {
    let Some(status) = run.status else {
        let said = format!("hangs; standard error {:?}; its last calls:\n{}", run.stderr, last_calls(run));
        return (Kind::ForEver, vec![said]);
    };
    let mut wrong: Vec<String> = foreign_lines(run);
    let failed = |name: &str| run.calls.iter().any(|call| call.injected() && call.name == name);
    let mut lines: Vec<&str> = run.stderr.lines().collect();
    let said = lines.len();
    lines.dedup();
    if lines.len() < said {
        wrong.push(format!("prints a message twice: {:?}", run.stderr));
    }
    match (run.executed().is_some(), status.code()) {
        // A terminal that mydocker can no longer serve hangs up.
        (true, Some(STATUS | 129)) => {}
        // A parent that cannot wait does not know the status.
        (true, Some(125)) if failed("wait4") && said > 0 => {}
        (false, Some(125..=127)) if said > 0 || failed("write") => {}
        (executed, _) => wrong.push(format!("executed: {executed}, {status}, {:?}", run.stderr)),
    }
    (Kind::ForEver, wrong)
}

fn foreign_lines(run: &Traced) -> Vec<String> {
    let foreign = run.stderr.lines().filter(|line| !line.starts_with("mydocker: "));
    foreign.map(|line| format!("a line that is not a message of mydocker: {line:?}")).collect()
}

/// A command about containers: it has worked, or one line names the call that failed.
fn answer(scenario: &Scenario, run: &Traced, status: ExitStatus, failures: &[Failure]) -> Vec<String> {
    let mut wrong = foreign_lines(run);
    let end = format!("{status}, {:?}, {:?}", run.stdout, run.stderr);
    let any = |wanted: &dyn Fn(&Effect) -> bool| failures.iter().any(|(_, effect)| wanted(effect));
    let loses = any(&|effect| matches!(effect, Effect::Loses(_)));
    let tells = any(&|effect| matches!(effect, Effect::Tells(words) if run.stderr.contains(words)));
    let may_work = |effect: &Effect| {
        matches!(effect, Effect::Survived(_) | Effect::Either(_) | Effect::Loses(_) | Effect::Tells(_))
    };
    let must_end = any(&|effect| !may_work(effect));
    if any(&|effect| *effect == Effect::Mute) {
        if status.code() != Some(125) || !run.stderr.is_empty() {
            wrong.push(format!("its message could not be written: {end}"));
        }
    } else if status.success() {
        let has_output = loses || tells || run.stdout.contains(scenario.stdout);
        if must_end || !has_output || run.stderr.lines().count() != usize::from(tells) {
            wrong.push(format!("it seems to have worked: {end}"));
        }
    } else {
        if status.code() != Some(125) || run.stderr.lines().count() != 1 {
            wrong.push(format!("not one line, and 125: {end}"));
        }
        let says = any(&|effect| match effect {
            // The errno is an answer, and what follows from it is said.
            Effect::Either(_) => true,
            Effect::Says(words) => run.stderr.contains(words),
            _ => false,
        });
        if !says {
            let not_survived = failures.iter().filter(|(_, effect)| !matches!(effect, Effect::Survived(_)));
            let reasons: Vec<&Call> = not_survived.map(|(call, _)| *call).collect();
            wrong.extend(unnamed(run, scenario.about, &reasons));
        }
    }
    wrong
}

/// The command ran: its status is kept, with one warning that names the failed call, or none if the run had to survive
/// the failure.
fn after_execve(scenario: &Scenario, run: &Traced, status: ExitStatus, failures: &[Failure]) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some((call, _)) = failures.iter().find(|(_, effect)| *effect == Effect::Ends) {
        wrong.push(format!("the command ran although {} had failed before", call.name));
    }
    let of = |wanted: fn(&Effect) -> bool| -> Vec<&Call> {
        failures.iter().filter(|(_, effect)| wanted(effect)).map(|(call, _)| *call).collect()
    };
    let hung_up = of(|effect| matches!(effect, Effect::Loses(_) | Effect::HangsUp(_)));
    if status.code() != Some(STATUS) && (hung_up.is_empty() || status.code() != Some(128 + libc::SIGHUP)) {
        wrong.push(format!("the command ran, but its status {STATUS} became {status}; {:?}", run.stderr));
    }
    let to_be_said = of(|effect| matches!(effect, Effect::Warned(_) | Effect::HangsUp(_)));
    match run.stderr.lines().count() {
        0 if to_be_said.is_empty() => {}
        0 => wrong.push(format!("{} failed, and no message says so", to_be_said[0].name)),
        1 if !to_be_said.is_empty() => wrong.extend(unnamed(run, scenario.about, &to_be_said)),
        _ => wrong.push(format!("more messages than expected: {:?}", run.stderr)),
    }
    wrong
}

/// The command did not run: there must be a reason, and one line must name it.
fn without_execve(scenario: &Scenario, run: &Traced, status: ExitStatus, failures: &[Failure]) -> Vec<String> {
    let mut wrong = Vec::new();
    let of = |wanted: fn(&Effect) -> bool| -> Vec<&Call> {
        failures.iter().filter(|(_, effect)| wanted(effect)).map(|(call, _)| *call).collect()
    };
    let mut reasons = of(|effect| !matches!(effect, Effect::Survived(_)));
    // Where an errno is taken for an answer, mydocker takes another path, and the first call that fails there is the
    // reason.
    for answer in of(|effect| matches!(effect, Effect::Either(_))) {
        let after = |call: &&Call| call.pid == answer.pid && call.began > answer.began && !call.worked();
        reasons.extend(run.calls.iter().filter(after));
    }
    // A failure in the parent after the word "go" does not end the run: the child continues by itself.
    let parents = |effect: &Effect| matches!(effect, Effect::Warned(_) | Effect::HangsUp(_) | Effect::Loses(_));
    let must_end = failures.iter().any(|(_, effect)| !matches!(effect, Effect::Survived(_)) && !parents(effect));
    if matches!(scenario.base, Base::Works) && !must_end {
        return vec![format!("the command did not run: {status}, {:?}", run.stderr)];
    }
    if run.stderr.lines().count() != 1 {
        wrong.push(format!("not one line: {:?}", run.stderr));
    }
    let mut statuses = if run.stderr.starts_with("mydocker: execve ") { vec![126, 127] } else { vec![125] };
    let mut base_said = false;
    if let Base::Refuses(status, words, name) = scenario.base {
        // The message names the call that fails by itself; if a lookup that explains its errno fails too, the
        // explanation is missing.
        let named = name == "execve" && run.stderr.starts_with("mydocker: execve ");
        base_said = run.stderr.contains(words) || named;
        let own = |call: &&Call| call.name == name && call.result.starts_with("-1 ") && !call.injected();
        let first = run.calls.iter().find(own).map_or(usize::MAX, |call| call.returned);
        // The reason arrives through the error pipe; if that read fails, the message cannot name the reason.
        let lost = reasons.iter().any(|call| call.name == "read" && call.arguments.contains("<pipe:"));
        if !base_said && !lost && reasons.iter().all(|call| call.began > first) {
            wrong.push(format!("the message does not name the first failure ({words:?}): {:?}", run.stderr));
        }
        if base_said && !named {
            statuses = vec![status];
        } else if lost {
            statuses.push(status);
        }
    }
    let says = failures.iter().any(|(_, effect)| matches!(effect, Effect::Says(words) if run.stderr.contains(words)));
    if !base_said && !says {
        wrong.extend(unnamed(run, scenario.about, &reasons));
    }
    if !status.code().is_some_and(|code| statuses.contains(&code)) {
        wrong.push(format!("{status}, with {:?}", run.stderr));
    }
    wrong
}

/// What the message lacks, if anything: the call, its errno, or its object (one of several).
fn unnamed(run: &Traced, about: &[&str], reasons: &[&Call]) -> Option<String> {
    let message = &run.stderr;
    let start = |call: &Call| [' ', ':'].map(|after| format!("mydocker: {}{after}", call.name));
    let named: Vec<&Call> =
        reasons.iter().copied().filter(|call| start(call).iter().any(|start| message.starts_with(start))).collect();
    let Some(first) = named.first() else {
        return Some(format!("the message names no call that failed: {message:?}"));
    };
    let errno_of = |call: &Call| call.result.split(' ').nth(1).unwrap_or_default().to_string();
    let errno = errno_of(first);
    // Where mydocker takes another path, the same call may fail there with another errno.
    if !named.iter().any(|call| message.contains(&errno_of(call))) {
        return Some(format!("the message lacks {errno}: {message:?}"));
    }
    let mut objects: Vec<String> = named.iter().flat_map(|call| run.objects(call)).collect();
    if !objects.is_empty() {
        objects.extend(about.iter().map(|word| word.to_string()));
        // A stream is named by what it is called, not by what it is.
        objects.extend(["stdin", "stdout", "stderr"].map(String::from));
    }
    let names_one = objects.is_empty() || objects.iter().any(|object| message.contains(object.as_str()));
    (!names_one).then(|| format!("the message names none of {objects:?}: {message:?}"))
}

fn last_calls(run: &Traced) -> String {
    let listing = run.listing();
    let lines: Vec<&str> = listing.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

/// The lines of mountinfo without the mount points, which change when another process renames a directory above them.
fn without_points(mounts: &str) -> Vec<Vec<&str>> {
    const POINT: usize = 4;
    let mut lines: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    for fields in lines.iter_mut().filter(|fields| fields.len() > POINT) {
        fields.remove(POINT);
    }
    lines
}

/// Loop devices whose backing file is ours. The kernel releases a loop device with its last mount, perhaps a moment
/// later.
fn loop_devices(folder: &Path) -> Option<String> {
    let ours = || {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let file = |path: &Path| fs::read_to_string(path.join("loop/backing_file")).unwrap_or_default();
        devices.map(|device| device.path()).find(|path| Path::new(file(path).trim_end()).starts_with(folder))
    };
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        ours()?;
        thread::sleep(Duration::from_millis(1));
    }
    ours().map(|device| format!("loop device {}", device.display()))
}

/// The mounts of this process, which a run must not change.
pub fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_else(|error| format!("/proc cannot be read: {error}"))
}

/// What a run left behind: its directories in every hierarchy, its processes, mounts and files. Removes what it finds,
/// so that the next run starts in the same state.
pub fn leftovers(
    scenario: &Scenario,
    worker: &Worker,
    run: &Traced,
    preparation: &Preparation,
    mounts_before: &str,
) -> Vec<String> {
    let mut left = Vec::new();
    let (pids, names) = run.processes();
    for pid in pids {
        // A process that has got this pid since and has another name is not ours; a zombie only waits for init to reap
        // it.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ours = names.iter().find_map(|name| stat.split_once(&format!("({name}) ")));
        if ours.is_some_and(|(_, state)| !state.starts_with(['Z', 'X'])) {
            left.push(format!("process {}", stat.split(' ').take(3).collect::<Vec<_>>().join(" ")));
            // SAFETY: kill takes two integers and no pointer
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    let group = scenario.group.clone().unwrap_or_else(|| run.mydocker.to_string());
    for directory in worker.directories(&format!("mydocker-{group}")) {
        if preparation.had(&directory) {
            continue;
        }
        left.push(format!("directory {}", directory.display()));
        if let Err(error) = fs::remove_dir(&directory) {
            left.push(format!("which cannot be removed: {error}"));
        }
    }
    let mounts_after = mounts();
    if without_points(&mounts_after) != without_points(mounts_before) {
        let new: Vec<&str> =
            mounts_after.lines().filter(|line| !mounts_before.lines().any(|old| old == *line)).collect();
        left.push(format!("mounts: {new:?}"));
        // The mounts that a run makes; a mount that covers ours hides this process's own files.
        for point in ["/proc", "/dev/pts"] {
            let covered = new.iter().any(|line| line.contains(&format!(" {point} ")));
            if (covered || mounts_after.starts_with(point))
                && let Err(error) = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH)
            {
                left.push(format!("{point} cannot be unmounted: {error}"));
            }
        }
    }
    left.extend(loop_devices(worker.folder.parent().unwrap_or(&worker.folder)));
    let may_stay = may_stay_in_network(run).is_some();
    if !may_stay {
        left.extend(preparation.left_in_network());
    }
    // The folders of bridges.
    for entry in fs::read_dir(worker.records()).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".net-") {
            if !may_stay {
                left.push(format!("folder {}", entry.path().display()));
            }
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                left.push(format!("which cannot be removed: {error}"));
            }
        }
    }
    for entry in fs::read_dir(worker.empty()).into_iter().flatten().flatten() {
        left.push(format!("file {}", entry.path().display()));
    }
    left
}
