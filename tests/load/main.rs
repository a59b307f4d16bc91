//! Load: thousands of runs in a row, hundreds at once, runs whose mydocker is killed at a random moment, and containers
//! that live side by side. The trials assert effects: every exit status, nothing left behind, the memory of a waiting
//! mydocker. Times are printed as ratios and never asserted.
//!
//! `MYDOCKER_SOAK_SECONDS=N` repeats the rounds of each trial for its share of N seconds (`just soak`).
//! `MYDOCKER_LOAD_SEED=N` repeats the random moments of an earlier run; `MYDOCKER_LOAD_EXECS=N` is the number of exec into one
//! container.

use crate::each_call::each_call;
use crate::execs::execs;
use crate::killed::killed;
use crate::support::folder::Folder;
use crate::support::harness::{Running, mydocker, mydocker_file, run};
use crate::support::needs::Needs;
use crate::support::processes::wait_until;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, io};

mod cgroup_parent;
mod each_call;
mod execs;
mod killed;
#[path = "../failures/program.rs"]
mod program;
#[allow(dead_code, reason = "the cases of tests/outside use the rest")]
#[path = "../outside/support/mod.rs"]
mod support;

const LIMITS: &[&str] =
    &["-m", "100m", "--cpu-set", "0", "--cpu-mems", "0", "--cpu-shares", "2048", "--pids-limit", "50"];

const IN_A_ROW: usize = 2000;
const AT_ONCE: usize = 200;
const KILLED: usize = 300;
const ALIVE: usize = 200;

/// What is promised of one waiting mydocker, for the released musl file, in KiB.
const ANONYMOUS: u64 = 100;
const PEAK: u64 = 1024;

/// The files that run inside, written before any fork: a file that is open for writing cannot be executed.
struct Programs {
    leaves: String,
    holds: String,
    stays: String,
}

static PROGRAMS: OnceLock<Programs> = OnceLock::new();

fn programs() -> &'static Programs {
    PROGRAMS.get().expect("programs are written before the first trial")
}

fn write_programs(folder: &Path) -> io::Result<Programs> {
    let text = |path: PathBuf| path.into_os_string().into_string().expect("a path in UTF-8");
    let [leaves, holds, stays] = [program::leaves, program::holds, program::stays].map(|write| write(folder).map(text));
    Ok(Programs { leaves: leaves?, holds: holds?, stays: stays? })
}

/// The measurements, printed at the end.
static REPORT: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn report(line: String) {
    REPORT.lock().expect("report").push(line);
}

/// Runs one round, and further rounds until this trial's share of the time is used up.
fn rounds(mut round: impl FnMut() -> Result<(), Failed>) -> Result<usize, Failed> {
    let seconds = env::var("MYDOCKER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds / TRIALS.len() as f64);
    let mut done = 0;
    loop {
        round()?;
        done += 1;
        if Instant::now() >= end {
            return Ok(done);
        }
    }
}

/// The host's mounts, which the runs must leave unchanged.
struct MountSnapshot {
    mounts: String,
}

impl MountSnapshot {
    fn take() -> MountSnapshot {
        MountSnapshot { mounts: mounts() }
    }

    /// Fails if the mounts have changed, or if a process with `marker` in its environment lives.
    fn compare(&self, marker: &str) -> Result<(), Failed> {
        let now = mounts();
        if now != self.mounts {
            let only_in = |text: &str, other: &str| {
                text.lines().filter(|line| !other.lines().any(|it| it == *line)).collect::<Vec<_>>().join("\n")
            };
            let (new, gone) = (only_in(&now, &self.mounts), only_in(&self.mounts, &now));
            let what = "the mounts have changed (or did something else here mount or unmount meanwhile?)";
            return Err(format!("{what}\nnew:\n{new}\ngone:\n{gone}").into());
        }
        let alive = marked_processes(marker);
        if !alive.is_empty() {
            return Err(format!("these processes are still alive: {alive:?}").into());
        }
        Ok(())
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo")
}

/// A variable for the environment of every process that one trial starts, commands included.
fn marker(trial: &str) -> String {
    format!("MYDOCKER_LOAD={trial}-{}", std::process::id())
}

/// The processes that have `marker` in their environment.
fn marked_processes(marker: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    };
    pids.filter(has).collect()
}

fn start(marker: &str, command: &str) -> Running {
    let (key, value) = marker.split_once('=').unwrap_or((marker, ""));
    run(LIMITS, &[command]).with(|run| run.env(key, value)).start()
}

/// One after the other: each ends as it should, and its directories are removed when it has ended, not by a later run.
fn in_a_row() -> Result<(), Failed> {
    let marker = marker("row");
    let before = MountSnapshot::take();
    let began = Instant::now();
    let done = rounds(|| {
        for _ in 0..IN_A_ROW {
            start(&marker, &programs().leaves).finish().silent(program::STATUS);
        }
        before.compare(&marker)
    })?;
    let runs = done * IN_A_ROW;
    let each = began.elapsed().as_secs_f64() * 1000.0 / runs as f64;
    report(format!("in a row: {runs} runs, each {each:.2} ms including the check for leftovers"));
    Ok(())
}

/// All at the same time, so that each sweeps past the directories of the others.
fn at_once() -> Result<(), Failed> {
    let marker = marker("once");
    let before = MountSnapshot::take();
    let done = rounds(|| {
        let all: Vec<Running> = (0..AT_ONCE).map(|_| start(&marker, &programs().leaves)).collect();
        for running in all {
            running.finish().silent(program::STATUS);
        }
        before.compare(&marker)
    })?;
    report(format!("at once: {} runs, {AT_ONCE} at a time", done * AT_ONCE));
    Ok(())
}

/// The value of a line such as `Anonymous:   84 kB`, in KiB.
fn kibibytes(pid: i32, file: &str, key: &str) -> Result<u64, Failed> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or(format!("{path} has no {key}"))?;
    let number = line.split_whitespace().next().ok_or("a number")?;
    Ok(number.parse()?)
}

/// Containers that live side by side: later starts may be a little slower than the first ones, each waiting mydocker
/// uses little memory, and all end when their standard input ends.
fn alive() -> Result<(), Failed> {
    let marker = marker("alive");
    let before = MountSnapshot::take();
    let (mut anonymous, mut peak, mut ratios) = (0, 0, Vec::new());
    let done = rounds(|| {
        let mut all = Vec::new();
        let mut starts = Vec::new();
        for _ in 0..ALIVE {
            let began = Instant::now();
            let running = start(&marker, &programs().holds);
            running.await_output(".");
            starts.push(began.elapsed());
            all.push(running);
        }
        // The work after execve, such as the sweep, counts in the peak: wait until mydocker sleeps.
        for running in &all {
            wait_until("mydocker waits", || sleeps(running.pid));
            anonymous = anonymous.max(kibibytes(running.pid, "smaps_rollup", "Anonymous:")?);
            peak = peak.max(kibibytes(running.pid, "status", "VmHWM:")?);
        }
        let sum = |starts: &[Duration]| starts.iter().sum::<Duration>().as_secs_f64();
        ratios.push(sum(&starts[ALIVE - 20..]) / sum(&starts[..20]));
        for running in all {
            running.finish().silent(0);
        }
        before.compare(&marker)
    })?;
    ratios.sort_by(f64::total_cmp);
    report(format!(
        "alive: {ALIVE} at the same time, {done} times; a waiting mydocker has at most {anonymous} KiB Anonymous and \
         {peak} KiB VmHWM; the last 20 starts took {:.2} times as long as the first 20",
        ratios[ratios.len() / 2]
    ));
    if !is_released_musl() {
        report(format!("alive: not the released musl file, so the limits of {ANONYMOUS} and {PEAK} KiB do not apply"));
        return Ok(());
    }
    if anonymous > ANONYMOUS || peak > PEAK {
        return Err(
            format!("{anonymous} KiB Anonymous (at most {ANONYMOUS}), {peak} KiB VmHWM (at most {PEAK})").into()
        );
    }
    Ok(())
}

fn sleeps(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

/// Whether this is the file that the memory limits are promised for: built for musl, and small, which a debug build is
/// not.
fn is_released_musl() -> bool {
    let version = mydocker(&["--version"]).finish().success();
    let size = fs::metadata(mydocker_file()).map_or(u64::MAX, |file| file.len());
    version.contains("-linux-musl") && size < 1024 * 1024
}

type Test = fn() -> Result<(), Failed>;

const TRIALS: [(&str, Test); 6] = [
    ("in_a_row", in_a_row),
    ("at_once", at_once),
    ("killed", killed),
    ("each_call", each_call),
    ("execs", execs),
    ("alive", alive),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One trial at a time: each needs the whole machine, and its check for leftovers must not see those of the next
    // one.
    arguments.test_threads = Some(1);
    let needs = Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS;
    let missing = needs.missing();
    let folder = Folder::new();
    PROGRAMS.get_or_init(|| write_programs(folder.as_path()).expect("write of the programs"));
    let missing_for = |name| {
        let own = match name {
            "killed" => Needs::GROUP_BELOW.missing(),
            "each_call" => Needs::STRACE.missing(),
            _ => None,
        };
        missing.clone().or(own)
    };
    let trials = TRIALS.map(|(name, test)| Trial::test(name, test).with_ignored_flag(missing_for(name).is_some()));
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    for line in REPORT.lock().expect("report").iter() {
        println!("{line}");
    }
    for (name, _) in TRIALS.iter().filter(|_| !arguments.list) {
        if let Some(reason) = missing_for(name) {
            println!("not run here: {name}: {reason}");
        }
    }
    if let Err(error) = folder.close() {
        println!("{error}");
    }
    if conclusion.has_failed() { ExitCode::from(101) } else { ExitCode::SUCCESS }
}
