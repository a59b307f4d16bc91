//! Random input for what reads bytes of others and for what prints them: `just fuzz SECONDS [TARGET..]`, or
//! `cargo test --profile fuzz --test fuzz -- SECONDS [TARGET..]`. It needs the stable toolchain and nothing else.
//!
//! Each input is made of the seeds of its target and of one number, so every input can be made again: a failure prints the
//! command that does. A panic fails, and so does an input that takes longer than [`PATIENCE`], and one that ends the process.
//! The inputs are run in processes of [`BATCH`] inputs, because the library never frees what it keeps.

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// How many inputs a process takes.
const BATCH: u64 = 20_000;
/// For one input: so much processor time, or [`WAIT`] of the clock, which other programs share.
const PATIENCE: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(60);

/// Numbers of the input that is tried, and of that before it.
static CURRENT: AtomicU64 = AtomicU64::new(u64::MAX);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // A process for a batch, or for an input that has failed.
        ["--inputs", name, first, count] => {
            let number = |word: &str| word.parse().expect("a number");
            try_inputs(find(name), number(first), number(count))
        }
        [seconds, ref names @ ..] if seconds.parse::<u64>().is_ok() => {
            fuzz(Duration::from_secs(seconds.parse().expect("checked")), names)
        }
        [] => fuzz(Duration::from_secs(20), &[]),
        _ => {
            eprintln!("fuzz [SECONDS [TARGET..]]; targets: {}", TARGETS.map(|target| target.name).join(" "));
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}

/// Tries each target for its share of the time.
fn fuzz(time: Duration, names: &[&str]) -> ExitCode {
    let targets: Vec<&Target> = match names {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| find(name)).collect(),
    };
    let seed = std::env::var("MYDOCKER_FUZZ_SEED").ok().and_then(|word| word.parse().ok());
    // Room for the numbers of all inputs.
    let seed = seed.unwrap_or_else(|| fastrand::u64(..)) >> 1;
    println!("MYDOCKER_FUZZ_SEED={} repeats this run, for as long as it takes", seed << 1);
    let (mut failed, mut total) = (0, 0);
    for target in &targets {
        let begun = Instant::now();
        let (mut tried, mut verdict) = (0, "ok");
        while begun.elapsed() < time / targets.len() as u32 {
            let first = seed + tried;
            let words = ["--inputs", target.name, &first.to_string(), &BATCH.to_string()];
            let status =
                Command::new(std::env::current_exe().expect("this file")).args(words).status().expect("a start");
            if !status.success() {
                println!("{}: {status}: cargo test --profile fuzz --test fuzz -- {}", target.name, words.join(" "));
                (verdict, failed) = ("FAILED", failed + 1);
                break;
            }
            tried += BATCH;
        }
        total += tried;
        let rate = tried as f64 / begun.elapsed().as_secs_f64();
        println!("{:<16} {tried:>10} executions {rate:>9.0} a second  {verdict}", target.name);
    }
    println!("in all {total} executions");
    println!("{} passed, {failed} failed, 0 skipped", targets.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries `count` inputs, from the number `first` on.
fn try_inputs(target: &'static Target, first: u64, count: u64) -> ExitCode {
    // What takes too much memory fails as well.
    let most = rustix::process::Rlimit { current: Some(2 << 30), maximum: Some(2 << 30) };
    rustix::process::setrlimit(rustix::process::Resource::As, most).expect("setrlimit");
    let seeds = (target.seeds)();
    std::thread::spawn({
        let seeds = seeds.clone();
        move || watch(target, &seeds)
    });
    let mut act = (target.begin)();
    for number in first..first + count {
        CURRENT.store(number, SeqCst);
        let input = mutate::input(&seeds, target.words, number);
        if catch_unwind(AssertUnwindSafe(|| act(&input))).is_err() {
            report(target, number, &input, "a panic");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Ends this process when one input takes too long.
fn watch(target: &Target, seeds: &[Vec<u8>]) {
    let processor = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let mut last = (u64::MAX, processor(), Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let number = CURRENT.load(SeqCst);
        if number != last.0 {
            last = (number, processor(), Instant::now());
        } else if processor() - last.1 > PATIENCE || last.2.elapsed() > WAIT {
            report(target, number, &mutate::input(seeds, target.words, number), "not at its end");
            std::process::exit(2);
        }
    }
}

fn report(target: &Target, number: u64, input: &[u8], what: &str) {
    println!("{what}: {:?}", input.escape_ascii().to_string());
    println!("again: cargo test --profile fuzz --test fuzz -- --inputs {} {number} 1", target.name);
}
