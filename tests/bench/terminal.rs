//! The table of the terminal: 100 MB through `-t`, compared with `script` of util-linux, which also relays a terminal.

use crate::contenders::{Setting, which};
use crate::table::{median, quantile, row};
use crate::{Result, table};
use std::io::Read;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BYTES: u64 = 100_000_000;

/// The ledger: at most this many times as long as `script` takes.
const MOST: f64 = 1.1;

/// Each round runs all four; the ratios compare runs of the same round.
pub fn print(setting: &Setting, rounds: usize) -> Result<()> {
    if which("script").is_none() {
        println!("no terminal to compare with: script of util-linux is not installed");
        return Ok(());
    }
    let (mydocker, floor) = (setting.mydocker.command[0].as_str(), setting.floor.as_str());
    let flood = format!("{floor} flood");
    let inside = format!("{mydocker} run {flood}");
    // -q: no messages; -c: run this command, in a shell. `script` writes a copy of the output, here to /dev/null.
    let script = |command| ["script", "-q", "-c", command, "/dev/null"];
    let round = || {
        Ok::<_, Box<dyn std::error::Error>>([
            relay(&[mydocker, "run", "-t", floor, "flood"])?,
            relay(&[mydocker, "run", "-t", "--no-limits", floor, "flood"])?,
            relay(&script(&flood))?,
            relay(&script(&inside))?,
        ])
    };
    // The first round brings the files into memory and is not counted.
    round()?;
    let times: Vec<[[f64; 2]; 4]> = (0..rounds).map(|_| round()).collect::<Result<_>>()?;
    let title = "100 MB through a terminal, against script";
    let mut rows = vec![row([title, "time", "half lie in", "processor time", "seconds here"])];
    for (name, ours, theirs) in
        [("both without limits", 1, 2), ("both under the same limits", 0, 3), ("only mydocker under limits", 0, 2)]
    {
        let ratios = |at: usize| times.iter().map(|all| all[ours][at] / all[theirs][at]).collect::<Vec<f64>>();
        let own: Vec<f64> = times.iter().map(|all| all[ours][0]).collect();
        let time = ratios(0);
        rows.push(row([
            name,
            &format!("{:.2}", median(&time)),
            &format!("{:.2} to {:.2}", quantile(&time, 0.25), quantile(&time, 0.75)),
            &format!("{:.2}", median(&ratios(1))),
            &format!("{:.2}", median(&own)),
        ]));
    }
    rows.push(row(["  at most", &format!("{MOST:.2}"), "", "", ""]));
    table::print(&rows);
    println!(
        "{rounds} rounds; the same static program writes to the terminal, and this one reads the other end through a pipe.\n\
         script stands outside of namespaces and limits, and also writes the same to a file, here /dev/null. For the same\n\
         limits, what it runs is mydocker run without -t: a group of processes that has its share of the CPU for itself\n\
         makes way for others, and waits for them, in another way than one that has not."
    );
    Ok(())
}

/// The seconds, and the seconds of processor time of all its children, of one run whose output is counted.
fn relay(words: &[&str]) -> Result<[f64; 2]> {
    let used = processor_time();
    let begun = Instant::now();
    let mut command = Command::new(words[0]);
    let mut child = command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut block = vec![0; 1 << 16];
    let mut total = 0;
    if let Some(mut pipe) = child.stdout.take() {
        loop {
            match pipe.read(&mut block)? {
                0 => break,
                n => total += n as u64,
            }
        }
    }
    let status = child.wait()?;
    let time = begun.elapsed().as_secs_f64();
    match total == BYTES && status.success() {
        true => Ok([time, (processor_time() - used).as_secs_f64()]),
        false => Err(format!("{} relays {total} bytes of {BYTES} and exits with {status}", words[0]).into()),
    }
}

/// The processor time of all children that have been waited for, and of theirs.
fn processor_time() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills one struct rusage, and all zeros are a valid one
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let [seconds, micros] = [usage.ru_utime, usage.ru_stime]
        .iter()
        .fold([0, 0], |[seconds, micros], time| [seconds + time.tv_sec, micros + time.tv_usec]);
    Duration::from_micros(seconds as u64 * 1_000_000 + micros as u64)
}
