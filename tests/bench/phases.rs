//! Where the time of one run goes, as the kernel's own trace of system calls (tracefs) shows it. The trace costs about
//! a microsecond per call, where strace stops both processes at each one; the table prints that cost below.

use crate::contenders::{Contender, Setting};
use crate::table::{median, row};
use crate::{Options, Result, table};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use syscalls::Sysno;

/// One event of one process: a call begins, or returns a result.
#[derive(Clone, Copy)]
struct Event {
    /// Microseconds.
    time: f64,
    pid: u32,
    call: Sysno,
    result: Option<i64>,
}

/// The phases of one run, in microseconds. Each begins where the one before it ends, except for the last two.
type Phases = Vec<(&'static str, f64)>;

pub fn print(setting: &Setting, options: &Options) -> Result<()> {
    let trace = Trace::start()?;
    let mut contenders = vec![setting.mydocker.clone()];
    if let Ok(floor) = setting.floor() {
        let [_, shown, _] = Setting::hardened_floors(&floor);
        contenders.extend([shown, floor]);
    }
    let mut rows = vec![row(["microseconds, medians"])];
    let mut slow = vec![row(["the longest of mydocker's calls", "cold", "back to back", "times"])];
    let mut columns = Vec::new();
    let mut spent: BTreeMap<(&str, &str), [Vec<f64>; 2]> = BTreeMap::new();
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for contender in &contenders {
        for (kind, runs, idle) in [("cold", options.cold, 300), ("back to back", options.hot, 0)] {
            rows[0].push(format!("{}, {kind}", contender.name));
            let mut all: Vec<Phases> = Vec::new();
            for _ in 0..runs {
                let (events, parent) = trace.run(contender, Duration::from_millis(idle))?;
                all.push(phases(&events, parent).ok_or("a run's trace is not whole")?);
                if contender.name == "mydocker" {
                    let mut run: BTreeMap<(&str, &str), (f64, usize)> = BTreeMap::new();
                    for (who, call, time) in durations(&events, parent) {
                        let sum = run.entry((who, call)).or_default();
                        *sum = (sum.0 + time, sum.1 + 1);
                    }
                    for (key, (time, n)) in run {
                        spent.entry(key).or_default()[usize::from(idle == 0)].push(time);
                        times.insert(key, n);
                    }
                }
            }
            columns.push(all);
        }
    }
    let names: Vec<&str> =
        columns.first().and_then(|all| all.first()).into_iter().flatten().map(|(name, _)| *name).collect();
    for (p, name) in names.iter().enumerate() {
        let of = |all: &Vec<Phases>| median(&all.iter().filter_map(|run| Some(run.get(p)?.1)).collect::<Vec<_>>());
        rows.push([name.to_string()].into_iter().chain(columns.iter().map(|all| format!("{:.0}", of(all)))).collect());
    }
    table::print(&rows);

    let mut spent: Vec<_> = spent.into_iter().map(|(key, [cold, hot])| (key, median(&cold), median(&hot))).collect();
    spent.retain(|((_, call), ..)| !["wait4", "ppoll", "poll", "read", "exit_group"].contains(call));
    spent.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (key, cold, hot) in spent.iter().take(10) {
        let name = format!("{} in the {}", key.1, key.0);
        slow.push(vec![name, format!("{cold:.0}"), format!("{hot:.0}"), times[key].to_string()]);
    }
    println!();
    table::print(&slow);

    trace.switch(false)?;
    let plain = whole(&setting.mydocker, options.hot)?;
    trace.switch(true)?;
    trace.write("tracing_on", "1")?;
    let traced = whole(&setting.mydocker, options.hot)?;
    println!("\nfrom mydocker's execve to its exit_group; {} runs cold, {} back to back", options.cold, options.hot);
    println!("a traced run takes {:.2} times a plain one, started and reaped, back to back", traced / plain);
    Ok(())
}

fn whole(contender: &Contender, runs: usize) -> Result<f64> {
    let times: Result<Vec<f64>> = (0..runs).map(|_| Ok(contender.time()?.as_secs_f64())).collect();
    Ok(median(&times?))
}

/// If the host has no tracefs mounted, this process mounts it in its own mount namespace, so that the host still has
/// none afterwards.
fn mount_tracefs() -> std::io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    mount("tracefs", "/sys/kernel/tracing", "tracefs", MountFlags::empty(), None)?;
    Ok(())
}

/// A trace instance of our own: other traces on this host are not disturbed.
struct Trace {
    dir: PathBuf,
}

impl Trace {
    fn start() -> Result<Trace> {
        let instances = Path::new("/sys/kernel/tracing/instances");
        if !instances.exists() {
            mount_tracefs().map_err(|e| format!("tracefs cannot be mounted ({e}): it needs root"))?;
        }
        let dir = instances.join(format!("mydocker-bench-{}", std::process::id()));
        fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let trace = Trace { dir };
        // One clock for all CPUs; trace this process and, across fork, every process that it starts.
        for (file, value) in [("tracing_on", "0"), ("trace_clock", "mono"), ("options/event-fork", "1")] {
            trace.write(file, value)?;
        }
        trace.write("set_event_pid", &std::process::id().to_string())?;
        trace.switch(true)?;
        Ok(trace)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let file = self.dir.join(file);
        Ok(fs::write(&file, value).map_err(|e| format!("{}: {e}", file.display()))?)
    }

    fn switch(&self, on: bool) -> Result<()> {
        self.write("events/raw_syscalls/enable", if on { "1" } else { "0" })
    }

    /// The events of one run, and the pid of the process that was started.
    fn run(&self, contender: &Contender, idle: Duration) -> Result<(Vec<Event>, u32)> {
        self.write("trace", "")?;
        sleep(idle);
        self.write("tracing_on", "1")?;
        let mut command = contender.start(false);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let parent = child.id();
        if !child.wait()?.success() {
            return Err(format!("{} does not work here", contender.name).into());
        }
        // Stop first, or reading the trace would lengthen it.
        self.write("tracing_on", "0")?;
        let text = fs::read_to_string(self.dir.join("trace"))?;
        let own = std::process::id();
        let mut events: Vec<Event> = text.lines().filter_map(event).filter(|event| event.pid != own).collect();
        // Until its execve the process still runs std's posix_spawn.
        let start = events.iter().position(|event| event.pid == parent && event.call == Sysno::execve);
        events.drain(..start.ok_or("a run's trace is not whole")?);
        Ok((events, parent))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Report an instance that cannot be removed: it takes memory until somebody removes it.
        if let Err(error) = self.switch(false).and_then(|()| Ok(fs::remove_dir(&self.dir)?)) {
            eprintln!("bench: {}: {error}", self.dir.display());
        }
    }
}

/// `  mydocker-123   [001] .....   4.567890: sys_enter: NR 59 (7ffe.., ..)`, or `sys_exit: NR 59 = 0`.
fn event(line: &str) -> Option<Event> {
    let (head, call) = line.split_once(": sys_")?;
    let (process, rest) = head.rsplit_once(" [")?;
    let pid = process.rsplit('-').next()?.trim().parse().ok()?;
    let time = rest.split_whitespace().last()?.parse::<f64>().ok()? * 1e6;
    let mut words = call.split_whitespace();
    let exit = words.next()? == "exit:";
    let call = Sysno::new(words.nth(1)?.parse().ok()?)?;
    let result = if exit { Some(words.nth(1)?.parse().ok()?) } else { None };
    Some(Event { time, pid, call, result })
}

/// Each call with its process and its duration.
fn durations(events: &[Event], parent: u32) -> Vec<(&'static str, &'static str, f64)> {
    let mut begun: BTreeMap<u32, Event> = BTreeMap::new();
    let mut all = Vec::new();
    for event in events {
        match event.result {
            None => {
                begun.insert(event.pid, *event);
            }
            Some(_) => {
                if let Some(begin) = begun.remove(&event.pid).filter(|begin| begin.call == event.call) {
                    let who = if event.pid == parent { "parent" } else { "child" };
                    all.push((who, event.call.name(), event.time - begin.time));
                }
            }
        }
    }
    all
}

fn phases(events: &[Event], parent: u32) -> Option<Phases> {
    let of_parent = || events.iter().filter(|event| event.pid == parent);
    let of_child = || events.iter().filter(|event| event.pid != parent);
    let begins = |event: &&Event, call: Sysno| event.result.is_none() && event.call == call;
    let worked = |event: &&Event, call: Sysno| event.call == call && event.result.is_some_and(|result| result >= 0);
    let clones = |event: &&Event| event.call == Sysno::clone || event.call == Sysno::clone3;

    let start = of_parent().find(|event| begins(event, Sysno::execve))?.time;
    let clone = of_parent().rfind(|event| clones(event) && event.result.is_none())?.time;
    let cloned = of_parent().rfind(|event| clones(event) && event.result.is_some_and(|result| result > 0))?.time;
    let exec = of_child().rfind(|event| begins(event, Sysno::execve))?.time;
    let executed = of_child().rfind(|event| worked(event, Sysno::execve))?.time;
    // The word "go" is the parent's last write before the command is executed. On v2, where the child is born in its
    // cgroup, the floor sends none.
    let go = of_parent().rfind(|event| begins(event, Sysno::write) && event.time < exec && event.time > cloned);
    let go = go.map_or(cloned, |event| event.time);
    let exit = of_child().rfind(|event| begins(event, Sysno::exit_group))?.time;
    let reaped = of_parent().rfind(|event| worked(event, Sysno::wait4) && event.time > exit)?.time;
    let end = of_parent().rfind(|event| begins(event, Sysno::exit_group))?.time;
    let first = of_child().find(|event| event.time > clone)?.time;
    let asks = of_child().find(|event| begins(event, Sysno::read)).map_or(go, |event| event.time);

    Some(vec![
        ("start, options, what the host offers", clone - start),
        ("clone", cloned - clone),
        ("cgroups made and limited", go - cloned),
        ("the child joins them and gets ready", exec - go),
        ("exec", executed - exec),
        ("the command", exit - executed),
        ("its end, until it is reaped", reaped - exit),
        ("the end: counters, removal", end - reaped),
        ("in all", end - start),
        ("beside it, in the child: mounts and lo", asks - first),
        ("  after which it waits for the limits", (go - asks).max(0.0)),
    ])
}
