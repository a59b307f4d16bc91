//! The limits that are in force when the command starts: with each call delayed, and with control files that report a
//! false success.

use crate::judge::{self, Kind};
use crate::scenario::{Occurrences, Scenario};
use crate::support::host::Host;
use crate::support::needs::on_v2;
use crate::totals::TOTALS;
use crate::trace::Run;
use crate::worker::take_worker;
use libtest_mimic::Failed;
use std::{env, fs};

/// The trace of a full run shows at least this many limits.
const ALL_FOUR: u32 = 4;

/// The files that `FULL` writes, and the values that they must hold.
fn limits() -> Vec<(&'static str, &'static str, &'static str)> {
    [
        ("memory", "memory.limit_in_bytes", "104857600", "memory.max", "104857600"),
        ("cpu", "cpu.shares", "2048", "cpu.weight", "174"),
        ("cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
        ("cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
        ("pids", "pids.max", "50", "pids.max", "50"),
    ]
    .into_iter()
    .map(|(controller, v1, v1_value, v2, v2_value)| match on_v2(controller) {
        true => (controller, v2, v2_value),
        false => (controller, v1, v1_value),
    })
    .collect()
}

/// The command of these trials: prints its cgroup in each hierarchy, whether cgroup.procs lists it, and its limits. The
/// cgroup namespace is made after joining, so the command's own cgroup appears as the root.
pub fn print_limits() {
    let host = Host::inspect();
    let own = std::process::id();
    for (controller, file, _) in limits() {
        let group = host.group(controller, own as i32);
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_else(|error| error.to_string());
        let joined = read("cgroup.procs").lines().any(|line| line == own.to_string());
        println!("{controller} {} {joined} {file} {}", host.path_of_group(controller, own as i32), read(file).trim());
    }
}

/// Delays every occurrence of `call`, one at a time: at its first instruction the command must be in its cgroups and
/// under its limits nevertheless.
pub fn delay_each(scenario: &Scenario, call: &str, occurrences: Occurrences) -> Result<(), Failed> {
    let worker = take_worker();
    const MICROSECONDS: u32 = 60_000;
    let itself = env::current_exe()?.display().to_string();
    let mut wrong = Vec::new();
    for occurrence in occurrences.all(false) {
        let command = [itself.as_str(), "--look"].map(String::from);
        let expression = format!("inject={call}:delay_enter={MICROSECONDS}:when={}", occurrence.when);
        let run = Run {
            worker: &worker,
            expressions: vec![expression.clone()],
            dummy_calls: Some((call, occurrence.dummy_calls)),
            words: ["run".to_string()].into_iter().chain(scenario.options.iter().cloned()).chain(command).collect(),
            program: itself.clone(),
            stdin: None,
            before: || Ok(()),
        }
        .make()?;
        TOTALS.count(Kind::Slowed);
        let line = |(controller, file, value): (&str, &str, &str)| format!("{controller} / true {file} {value}\n");
        let expected: String = limits().into_iter().map(line).collect();
        if run.stdout != expected || run.status.and_then(|status| status.code()) != Some(0) || !run.stderr.is_empty() {
            wrong.push(format!(
                "{expression} after {} dummy calls: {:?}, {:?}, and the command saw\n{}",
                occurrence.dummy_calls, run.status, run.stderr, run.stdout
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Control files that claim to have taken the value, and have not: reading the value back must reveal it.
pub fn control_files_that_lie(scenario: &Scenario, occurrences: Occurrences) -> Result<(), Failed> {
    let worker = take_worker();
    let (plain, _) = scenario.run(&worker, &[], None)?;
    let mut written = 0;
    let mut wrong = Vec::new();
    let writes = plain.calls.iter().filter(|call| call.name == "write" && !plain.is_child(call));
    for (call, occurrence) in writes.zip(occurrences.in_parent()) {
        let limit = limits().into_iter().find(|(_, file, _)| call.arguments.contains(&format!("/{file}>")));
        let Some((_, file, value)) = limit else { continue };
        let expression = format!("inject=write:retval={}:when={}", value.len(), occurrence.when);
        let mounts = judge::mounts();
        let (run, preparation) =
            scenario.run(&worker, std::slice::from_ref(&expression), Some(("write", occurrence.dummy_calls)))?;
        TOTALS.count(Kind::Lie);
        written += 1;
        let message = format!("mydocker: {file}: asked for {value}, the kernel made it ");
        let refused = run.status.and_then(|status| status.code()) == Some(125) && run.stderr.starts_with(&message);
        if !refused || run.executed().is_some() {
            wrong.push(format!("{expression} ({file}): {:?}, {:?}", run.status, run.stderr));
        }
        wrong.extend(judge::leftovers(scenario, &worker, &run, &preparation, &mounts));
    }
    if written < ALL_FOUR {
        wrong.push(format!("only {written} writes of limits in the trace:\n{}", plain.listing()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
