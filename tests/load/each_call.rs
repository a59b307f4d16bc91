//! A container with a name, and one that is detached, whose mydocker is killed with SIGKILL at each of its system calls, one after
//! the other: nothing outlives that, the record says nothing that is not so, and later runs remove what is left.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker, mydocker_file};
use crate::support::host::host;
use crate::{LIMITS, MountSnapshot, marked_processes, marker, program, programs, report};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many runs there are at the same time.
const AT_ONCE: usize = 8;

/// The kinds of run, and the option by which strace follows all processes. A detached run has two mydockers: a call at which the
/// first one is killed is one of the second one, too, in the other kind. One that is started again has three.
const KINDS: [(&str, &[&str], &[&str]); 3] = [
    ("foreground", &[], &[]),
    ("detached", &["-d"], &["-f"]),
    ("restarted", &["-d", "--restart", "on-failure:1"], &["-f"]),
];

struct Runs<'a> {
    marker: &'a str,
    state: String,
    follow: &'static [&'static str],
    options: &'static [&'static str],
}

impl Runs<'_> {
    /// One run under strace.
    fn start(&self, name: &str, strace: &[&str]) -> Child {
        let (key, value) = self.marker.split_once('=').unwrap_or((self.marker, ""));
        let mut run = Command::new("strace");
        run.args(self.follow).args(["-q", "-s", "0"]).args(strace).arg(mydocker_file());
        run.args(["run", "--state", &self.state, "--name", name]).args(self.options).args(LIMITS);
        run.arg(&programs().leaves).env(key, value);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace")
    }

    /// How often one process makes each call, at most.
    fn calls(&self, folder: &Folder) -> Result<BTreeMap<String, usize>, Failed> {
        let file = folder.text("trace");
        let status = self.start("base", &["-o", &file]).wait()?;
        let expected = if self.options.is_empty() { program::STATUS } else { 0 };
        if status.code() != Some(expected) {
            return Err(format!("the base run has ended with {status}").into());
        }
        self.remove(&["base"])?;
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(file)?.lines() {
            // With -f each line begins with the pid.
            let (pid, rest) =
                if self.follow.is_empty() { ("", line) } else { line.split_once(' ').unwrap_or_default() };
            let name = rest.trim_start().split('(').next().unwrap_or_default();
            // Those that only return; and the first one, and the last one, which strace itself makes or does not see.
            let is_call =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if is_call && !["execve", "exit_group", "exit"].contains(&name) {
                *counts.entry((name.to_string(), pid.to_string())).or_insert(0) += 1;
            }
        }
        let mut most = BTreeMap::new();
        for ((name, _), count) in counts {
            let before = most.entry(name).or_insert(0);
            *before = count.max(*before);
        }
        Ok(most)
    }

    /// Removes records, those that there are.
    fn remove(&self, names: &[&str]) -> Result<(), Failed> {
        for name in mydocker(&["ps", "-a", "-q", "--state", &self.state]).finish().success().lines() {
            if !names.contains(&name) {
                return Err(format!("an unknown record: {name}").into());
            }
            mydocker(&["rm", "--state", &self.state, name]).finish().success();
        }
        Ok(())
    }
}

fn wait(mut run: Child, what: &str) -> Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(60);
    while run.try_wait()?.is_none() {
        if Instant::now() > end {
            run.kill()?;
            return Err(format!("it hangs, killed at {what}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub fn each_call() -> Result<(), Failed> {
    let marker = marker("each-call");
    let before = MountSnapshot::take();
    for (kind, options, follow) in KINDS {
        let folder = Folder::new();
        let state = folder.text("records");
        fs::create_dir(&state)?;
        fs::set_permissions(&state, PermissionsExt::from_mode(0o700))?;
        let runs = Runs { marker: &marker, state, follow, options };
        let mut all = Vec::new();
        for (call, count) in runs.calls(&folder)? {
            all.extend((1..=count).map(|at| (call.clone(), at)));
        }
        let mut names = Vec::new();
        for (number, some) in all.chunks(AT_ONCE).enumerate() {
            let mut started = Vec::new();
            for (place, (call, at)) in some.iter().enumerate() {
                let name = format!("each-call-{}-{kind}-{number}-{place}", std::process::id());
                let inject = format!("inject={call}:signal=KILL:when={at}");
                let trace = format!("trace={call}");
                started.push((runs.start(&name, &["-o", "/dev/null", "-e", &trace, "-e", &inject]), call, at));
                names.push(name);
            }
            for (run, call, at) in started {
                wait(run, &format!("{call} {at} ({kind})"))?;
            }
            // Nothing is alive, and no record says so.
            let end = Instant::now() + Duration::from_secs(20);
            // A process has no environment any more a moment before it closes what it holds.
            loop {
                let processes = marked_processes(&marker);
                let said = mydocker(&["ps", "-q", "--state", &runs.state]).finish().success();
                if processes.is_empty() && said.is_empty() {
                    break;
                }
                if Instant::now() > end {
                    return Err(format!("{processes:?} are alive, or {said:?} by ps, after {some:?} ({kind})").into());
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let ours = |name: &String| host().directories(&format!("mydocker-{name}"));
        let left: usize = names.iter().map(|name| ours(name).len()).sum();
        let mut sweeps = 0;
        while names.iter().any(|name| !ours(name).is_empty()) || fs::read_dir(&runs.state)?.count() > 0 {
            sweeps += 1;
            if sweeps > 50 + left + all.len() {
                let records: Vec<_> = fs::read_dir(&runs.state)?.flatten().map(|entry| entry.path()).collect();
                let groups: Vec<_> = names.iter().flat_map(ours).collect();
                return Err(format!("{sweeps} runs later there are {groups:?} and {records:?} ({kind})").into());
            }
            let sweeping = ["run", "--state", &runs.state, "--name", "sweeps"];
            mydocker(&[&sweeping[..], LIMITS, &[&programs().leaves]].concat()).finish().silent(program::STATUS);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            runs.remove(&names)?;
        }
        report(format!(
            "each call: {} runs, {kind}, killed at one each; {left} directories were left, gone after {sweeps} more runs",
            all.len()
        ));
        folder.close()?;
    }
    before.compare(&marker)
}
