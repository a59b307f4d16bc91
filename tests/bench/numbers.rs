//! The table of what can be counted: system calls, memory while waiting, file sizes.

use crate::contenders::{Contender, Setting, target_dir, which};
use crate::table::{median, row};
use crate::{Result, table};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The ledger: system calls of one run on v1 with all privileges dropped, and with --privileged; KiB of anonymous
/// memory and of the peak while waiting.
const CALLS: u64 = 155;
const CALLS_PRIVILEGED: u64 = 120;
const ANONYMOUS: u64 = 100;
const PEAK: u64 = 1024;

/// False if a count exceeds the ledger.
pub fn print(setting: &Setting, peers: &[Contender]) -> Result<bool> {
    let commands_own = calls(&[&setting.floor])?.saturating_sub(1);
    let own = format!("without the {commands_own} of `true`");
    let mut rows = vec![row(["", "calls", &own, "anonymous KiB", "peak KiB", "file bytes"])];
    let mut within = true;
    for contender in [&setting.mydocker].into_iter().chain(peers) {
        let words: Vec<&String> = contender.words(false).collect();
        // The least of three runs: a sweep also looks at what other processes on this host have left.
        let calls = [calls(&words)?, calls(&words)?, calls(&words)?].into_iter().min().unwrap_or(0);
        let (anonymous, peak) = memory(contender)?;
        let size = which(&contender.command[0]).and_then(|file| fs::metadata(file).ok()).map(|file| file.len());
        rows.push(vec![
            contender.name.clone(),
            calls.to_string(),
            (calls - commands_own).to_string(),
            anonymous.to_string(),
            peak.to_string(),
            size.map_or("?".into(), |size| size.to_string()),
        ]);
        if contender.name == "mydocker" {
            within &= calls <= CALLS && anonymous <= ANONYMOUS && peak <= PEAK;
            let most = [CALLS, ANONYMOUS, PEAK].map(|n| n.to_string());
            rows.push(row(["  at most (on v1)", &most[0], "", &most[1], &most[2], "`just size`"]));
        }
        if contender.name == "privileged" {
            within &= calls <= CALLS_PRIVILEGED;
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
    if !within {
        println!("mydocker exceeds the ledger");
    }
    Ok(within)
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

/// The number of system calls of all processes, each counted where it begins.
fn calls(words: &[&String]) -> Result<u64> {
    let log = target_dir().join("tmp/bench-strace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("strace: {e}; apt-get install strace"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        return Err(format!("strace of {} ends with {status}", words[0]).into());
    }
    let begins = |line: &&str| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        !["<... ", "+++", "---"].iter().any(|other| line.starts_with(other))
    };
    Ok(text.lines().filter(begins).count() as u64)
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
        _ => Err(format!("the command of {} did not start to wait", contender.name).into()),
    }
}
