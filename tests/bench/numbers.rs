//! The table of what can be counted: system calls, memory while waiting, file sizes.

use crate::contenders::{Contender, Setting, target_dir, unless_peer_fails, which};
use crate::table::{median, row};
use crate::{Result, table};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fmt, fs};

/// The ledger: system calls of one run on v1 with all privileges dropped, and with --privileged; KiB of anonymous
/// memory and of the peak while waiting. A privileged container has a group in each of ten hierarchies, for it is the top of all that it
/// sees.
const CALLS: u64 = 155;
const CALLS_PRIVILEGED: u64 = 220;
const ANONYMOUS: u64 = 100;
const PEAK: u64 = 1024;

/// False if a count exceeds the ledger.
pub fn print(setting: &Setting, peers: &[Contender]) -> Result<bool> {
    let commands_own = calls(&Contender::plain("true", vec![setting.floor.clone()]))?.number() - 1;
    let own = format!("without the {commands_own} of `true`");
    let mut rows = vec![row(["", "calls", &own, "anonymous KiB", "peak KiB", "file bytes"])];
    let mut beyond = Vec::new();
    for contender in [&setting.mydocker].into_iter().chain(peers) {
        // The least of three runs: a sweep also looks at what other processes on this host have left.
        let least = || -> Result<Calls> {
            let runs = [calls(contender)?, calls(contender)?, calls(contender)?];
            Ok(runs.into_iter().min_by_key(Calls::number).unwrap_or_default())
        };
        let counted = least().and_then(|calls| Ok((calls, memory(contender)?)));
        let (calls, (anonymous, peak)) = match unless_peer_fails(counted)? {
            Ok(counted) => counted,
            Err(reason) => {
                rows.push(vec![contender.name.clone(), reason]);
                continue;
            }
        };
        let size = which(&contender.command[0]).and_then(|file| fs::metadata(file).ok()).map(|file| file.len());
        rows.push(vec![
            contender.name.clone(),
            calls.number().to_string(),
            (calls.number() - commands_own).to_string(),
            anonymous.to_string(),
            peak.to_string(),
            size.map_or("?".into(), |size| size.to_string()),
        ]);
        let (most, holds_memory) = match contender.name.as_str() {
            "mydocker" => (CALLS, true),
            "privileged" => (CALLS_PRIVILEGED, false),
            _ => continue,
        };
        if calls.number() > most {
            beyond.push(format!("{}: {} calls: {calls}", contender.name, calls.number()));
        }
        if holds_memory {
            if anonymous > ANONYMOUS || peak > PEAK {
                beyond.push(format!("mydocker: {anonymous} KiB of anonymous memory, and {peak} KiB at its peak"));
            }
            let most = [CALLS, ANONYMOUS, PEAK].map(|n| n.to_string());
            rows.push(row(["  at most (on v1)", &most[0], "", &most[1], &most[2], "`just size`"]));
        } else {
            rows.push(row(["  at most (on v1)", &CALLS_PRIVILEGED.to_string(), "", "", "", ""]));
        }
    }
    table::print(&rows);
    println!(
        "calls: strace -f of a static `true`, every process. Memory: Anonymous in smaps_rollup and VmHWM of the process\n\
         that was started, while the command waits. Files: that one file; what is not static needs libraries besides."
    );
    filter(setting)?;
    for name in ["mydocker-x86_64", "mydocker-aarch64", "mydocker-tiny"] {
        match fs::metadata(target_dir().join("dist").join(name)) {
            Ok(file) => println!("target/dist/{name}: {} bytes", file.len()),
            Err(_) => println!("target/dist/{name}: not built (`just dist`, `just tiny`)"),
        }
    }
    let check = setting.mydocker.command.first().map_or("mydocker", String::as_str);
    let mut times = Vec::new();
    for _ in 0..15 {
        let begun = Instant::now();
        Command::new(check).arg("check").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    println!("mydocker check: {:.0} ms (at most 100)", median(&times));
    for line in &beyond {
        println!("beyond the ledger: {line}");
    }
    Ok(beyond.is_empty())
}

/// What the seccomp filter costs per system call, and how long the kernel takes to load it.
fn filter(setting: &Setting) -> Result<()> {
    let file = &setting.mydocker.command[0];
    let time = |options: &[&str]| -> Result<f64> {
        let output = Command::new(file).arg("run").args(options).args([&setting.floor, "getppid"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        text.parse().map_err(|_| format!("getppid inside printed {text:?}").into())
    };
    let (with, without) = (time(&[])?, time(&["--security-opt", "seccomp=unconfined"])?);
    println!("getppid inside: {with:.1} ns with the filter, {without:.1} ns without");
    let log = target_dir().join("tmp/bench-seccomp");
    let least = (0..10).map(|_| -> Result<f64> {
        Command::new("strace")
            .args(["-f", "-qq", "-T", "-e", "trace=seccomp", "-e", "signal=none", "-o"])
            .arg(&log)
            .args([file.as_str(), "run", &setting.floor])
            .status()?;
        let text = fs::read_to_string(&log)?;
        let time = text.rsplit_once('<').and_then(|(_, time)| time.trim().trim_end_matches('>').parse::<f64>().ok());
        time.ok_or_else(|| format!("no time of seccomp in {text:?}").into())
    });
    let least = least.collect::<Result<Vec<_>>>()?.into_iter().fold(f64::MAX, f64::min);
    println!("loading the filter: {:.3} ms, strace's own time with it", least * 1000.0);
    Ok(())
}

/// How often each system call was made.
#[derive(Default)]
struct Calls(BTreeMap<String, u64>);

impl Calls {
    fn number(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, times)| write!(f, "{times} {name}, "))
    }
}

/// The system calls of all processes, each counted where it begins.
fn calls(contender: &Contender) -> Result<Calls> {
    let log = target_dir().join("tmp/bench-strace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(contender.words(false))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|e| format!("strace: {e}; apt-get install strace"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !output.status.success() {
        return Err(contender.fails(&format!("ends with {} under strace", output.status), &output.stderr));
    }
    let mut calls = Calls::default();
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if !["<... ", "+++", "---"].iter().any(|other| line.starts_with(other)) {
            *calls.0.entry(line.split('(').next().unwrap_or_default().into()).or_default() += 1;
        }
    }
    Ok(calls)
}

/// Anonymous and peak KiB of the process that was started, while its command waits.
fn memory(contender: &Contender) -> Result<(u64, u64)> {
    let mut child = contender.start(true).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut byte = [0];
    let started = child.stdout.take().map(|mut pipe| pipe.read_exact(&mut byte));
    // Wait for whatever the process does after the command has started.
    sleep(Duration::from_millis(50));
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
    let (rollup, status) = (proc("smaps_rollup"), proc("status"));
    drop(child.stdin.take());
    child.wait()?;
    let kib = |text: &str, field: &str| {
        text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    match (started, kib(&rollup, "Anonymous:"), kib(&status, "VmHWM:")) {
        (Some(Ok(())), Some(anonymous), Some(peak)) => Ok((anonymous, peak)),
        _ => Err(contender.fails("did not start to wait", b"")),
    }
}
