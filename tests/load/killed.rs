//! Runs whose mydocker is killed with SIGKILL at a random moment, and the runs that sweep after them.

use crate::cgroup_parent::CgroupParent;
use crate::support::harness::mydocker_file;
use crate::support::host::host;
use crate::support::processes::{send, wait_for_end};
use crate::{KILLED, LIMITS, MountSnapshot, marked_processes, marker, program, programs, report, rounds};
use libc::SIGKILL;
use libtest_mimic::Failed;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

/// The seed of the random moments: a new one, or the one of an earlier run.
fn seed() -> u64 {
    env::var("MYDOCKER_LOAD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..))
}

/// A mydocker with /dev/null for its three streams, so that no reader notices its end.
fn spawn(marker: &str, parent: &CgroupParent, command: &str) -> io::Result<Child> {
    let (key, value) = marker.split_once('=').unwrap_or((marker, ""));
    let mut run = Command::new(mydocker_file());
    run.arg("run").args(LIMITS).args(["--cgroup-parent", &parent.name]).arg(command).env(key, value);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// How long a run takes from start to end: the random moments are spread over this time.
fn duration_of_a_run(marker: &str, parent: &CgroupParent) -> Result<Duration, Failed> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let began = Instant::now();
        let status = spawn(marker, parent, &programs().leaves)?.wait()?;
        if status.code() != Some(program::STATUS) {
            return Err(format!("{status}, not {}", program::STATUS).into());
        }
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// If mydocker was killed, only the kernel can end its container, and it must do so soon.
fn await_containers_end(marker: &str) -> Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let alive = marked_processes(marker);
        if alive.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            for pid in &alive {
                send(*pid, SIGKILL);
                wait_for_end(*pid);
            }
            return Err(format!("{} processes have outlived their mydocker: {alive:?}", alive.len()).into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// mydocker is killed with SIGKILL at a moment between its start and a little after its end, every second time with a
/// command that would stay. Its container dies with it; the runs that follow sweep the directories that it could not
/// remove.
pub fn killed() -> Result<(), Failed> {
    let marker = marker("killed");
    let before = MountSnapshot::take();
    let parent = CgroupParent::make("load")?;
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let spread = duration_of_a_run(&marker, &parent)?.mul_f64(1.2).as_micros() as u64 + 1;
    let (mut too_late, mut left_behind, mut directories_left, mut sweeps, mut runs) = (0, 0, 0, 0, 0);
    let done = rounds(|| {
        let mut names = Vec::new();
        for turn in 0..KILLED {
            let command = if turn % 2 == 0 { &programs().leaves } else { &programs().stays };
            let mut child = spawn(&marker, &parent, command)?;
            names.push(format!("mydocker-{}", child.id()));
            // A busy loop: a sleep would take as long as the run that it is to hit.
            let moment = Instant::now() + Duration::from_micros(random.u64(..spread));
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            child.kill()?;
            match child.wait()?.code() {
                None => {}
                Some(program::STATUS) => too_late += 1,
                Some(other) => return Err(format!("mydocker exited with {other} before it was killed").into()),
            }
        }
        runs += KILLED;
        await_containers_end(&marker)?;
        let ours = |path: &PathBuf| names.iter().any(|name| path.ends_with(name));
        let mut left: Vec<PathBuf> = host().containers().into_iter().filter(ours).collect();
        directories_left += left.len();
        left_behind += names.iter().filter(|name| left.iter().any(|path| path.ends_with(name))).count();
        // A run looks at eight candidates in one hierarchy; if one is a leftover, it looks for the same name in all
        // hierarchies.
        let at_most = 50 + left.len();
        for turn in 0.. {
            left.retain(|path| path.exists());
            if left.is_empty() {
                sweeps += turn;
                break;
            }
            if turn == at_most {
                return Err(
                    format!("{at_most} runs later these directories still exist (seed {seed}): {left:?}").into()
                );
            }
            let status = spawn(&marker, &parent, &programs().leaves)?.wait()?;
            if status.code() != Some(program::STATUS) {
                return Err(format!("a sweeping run exited with {status}").into());
            }
        }
        before.compare(&marker)
    })?;
    report(format!(
        "killed: {runs} runs, of which {too_late} had ended before; {left_behind} left {directories_left} directories, \
         gone after {:.0} more runs a round; moments over {spread} us, seed {seed}",
        sweeps as f64 / done as f64
    ));
    Ok(())
}
