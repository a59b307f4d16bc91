//! The runs whose calls are made to fail.

use crate::host::host;
use crate::judge::{self, Base};
use crate::needs::Needs;
use crate::program;
use crate::table;
use crate::totals::TOTALS;
use crate::trace::{self, Run, Traced};
use libtest_mimic::Failed;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

/// The four limits, and what else a run can be asked for.
pub const FULL: &[&str] = &[
    "-m",
    "100m",
    "--cpu-set",
    "0",
    "--cpu-mems",
    "0",
    "--cpu-shares",
    "2048",
    "--pids-limit",
    "50",
    "--hostname",
    "x",
    "-w",
    "/",
];

/// One way to run mydocker, whose calls are made to fail.
pub struct Scenario {
    pub name: &'static str,
    options: &'static [&'static str],
    /// Instead of the program that leaves at once.
    command: Option<&'static str>,
    base: Base,
    /// What fails in every run of it.
    always: Option<&'static str>,
    /// The calls to look at, where not all: what the scenario is about.
    pub only: &'static [&'static str],
    /// Done in the new process before strace starts.
    before: fn() -> io::Result<()>,
    /// Done before each run.
    prepare: fn(),
    pub needs: Needs,
}

pub fn scenarios() -> Vec<Scenario> {
    let four = Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS;
    let full = || Scenario {
        name: "full",
        options: FULL,
        command: None,
        base: Base::Works,
        always: None,
        only: &[],
        before: || Ok(()),
        prepare: || (),
        needs: four,
    };
    vec![
        full(),
        Scenario { name: "defaults", options: &[], needs: Needs::ROOT, ..full() },
        // No PID namespace: orphans have to be looked for. Two signals are ignored, and have to be reset.
        Scenario {
            name: "host",
            options: &[
                "--pid",
                "host",
                "--network",
                "host",
                "--ipc",
                "host",
                "--uts",
                "host",
                "-m",
                "100m",
                "--cpu-shares",
                "2048",
            ],
            before: ignore_two_signals,
            needs: Needs::ROOT | Needs::MEMORY | Needs::CPU,
            ..full()
        },
        Scenario {
            name: "terminal",
            options: &["-t", "-m", "100m", "--cpu-shares", "2048"],
            needs: Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::TERMINAL,
            ..full()
        },
        // The host's own files with the writes in memory, a volume, a user: all that a root of its own takes.
        Scenario {
            name: "root",
            options: &[
                "--ephemeral",
                "--no-limits",
                "-v",
                "/etc:/mnt/made:ro",
                "--tmpfs",
                "/mnt/memory",
                "-u",
                "0",
                "-w",
                "/mnt/made-too",
                "--ulimit",
                "nofile=100",
            ],
            only: &[
                "mount",
                "umount2",
                "pivot_root",
                "openat2",
                "open_tree",
                "move_mount",
                "mount_setattr",
                "statx",
                "mknodat",
                "symlinkat",
                "fstatfs",
                "fchdir",
                "mkdirat",
                "chdir",
                "setgroups",
                "setgid",
                "setuid",
                "uname",
                "openat",
                "write",
                "close",
                "prlimit64",
            ],
            needs: Needs::ROOT | Needs::OVERLAY,
            ..full()
        },
        // The other ends: here it is the cleaning up that fails.
        Scenario {
            name: "not_found",
            command: Some("/nowhere/leaves"),
            base: Base::Refuses(127, "not found", "execve"),
            ..full()
        },
        Scenario {
            name: "refused",
            options: &["-m", "100m", "--cpu-shares", "2048", "--cpu-set", "1023"],
            base: Base::Refuses(125, "not among the CPUs", "write"),
            needs: Needs::ROOT | Needs::MEMORY | Needs::CPU_ON_V1 | Needs::CPUSET,
            ..full()
        },
        // The kernel still has the directory in use when it is to be removed.
        Scenario {
            name: "busy",
            always: Some("inject=unlinkat:error=EBUSY:when=1..3"),
            only: &["nanosleep", "getdents64", "wait4"],
            ..full()
        },
        // Something to sweep.
        Scenario { name: "leftovers", prepare: leave_directories, ..full() },
        // No cgroup is mounted: mydocker makes mounts of its own, that are attached nowhere.
        Scenario { name: "nothing_mounted", before: unmount_cgroups, needs: four | Needs::MOUNTED, ..full() },
    ]
}

fn ignore_two_signals() -> io::Result<()> {
    // SAFETY: signal takes numbers here
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGUSR1, libc::SIG_IGN);
    }
    Ok(())
}

/// Where the cgroups are mounted: what is to be unmounted is known before the fork.
pub static POINTS: OnceLock<Vec<CString>> = OnceLock::new();

fn unmount_cgroups() -> io::Result<()> {
    // SAFETY: a new mount namespace changes nothing that memory safety rests on
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for point in POINTS.get().into_iter().flatten() {
        unmount(point.as_c_str(), UnmountFlags::DETACH)?;
    }
    Ok(())
}

/// What a mydocker that was killed leaves: its directories.
fn leave_directories() {
    for directory in leftovers() {
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.unwrap_or_else(|error| panic!("mkdir {}: {error}", directory.display())),
        }
    }
}

pub fn leftovers() -> Vec<PathBuf> {
    let own = std::process::id() as i32;
    let name = format!("mydocker-left-by-failures-{own}");
    let here =
        ["memory", "cpu", "cpuset", "pids"].into_iter().filter(|controller| host().carrier(controller).is_some());
    let mut leftovers: Vec<PathBuf> = here.map(|controller| host().group(controller, own).join(&name)).collect();
    leftovers.dedup();
    leftovers
}

impl Scenario {
    pub fn run(&self, folder: &Path, expressions: &[String]) -> Result<Traced, Failed> {
        (self.prepare)();
        let leaves = folder.join("leaves").display().to_string();
        let program = self.command.map_or(leaves, String::from);
        let words = ["run"].iter().chain(self.options).map(|word| word.to_string()).chain([program.clone()]).collect();
        let expressions =
            self.always.iter().map(|always| always.to_string()).chain(expressions.iter().cloned()).collect();
        Ok(Run { folder, expressions, words, program, before: self.before }.make()?)
    }

    /// The calls of a run in which nothing is made to fail, and how often either process makes each.
    pub fn calls(&self, folder: &Path) -> Result<BTreeMap<String, usize>, Failed> {
        let mounts = judge::mounts();
        let run = self.run(folder, &[])?;
        let fine = match (self.base, run.status.and_then(|status| status.code())) {
            (Base::Works, status) => status == Some(program::STATUS) && run.stderr.is_empty(),
            (Base::Refuses(expected, words, _), status) => status == Some(expected) && run.stderr.contains(words),
        };
        let left = judge::left(&run, &mounts, folder);
        if !fine || !left.is_empty() {
            return Err(format!("without any failure: {:?}, {:?}, left {left:?}", run.status, run.stderr).into());
        }
        let mut most = BTreeMap::new();
        for pid in run.pids() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            // strace does not count its own execve.
            let own = |call: &&trace::Call| call.pid == pid && (call.began > 0 || call.name != "execve");
            for call in run.calls.iter().filter(own) {
                *counts.entry(&call.name).or_default() += 1;
            }
            for (name, count) in counts {
                let most = most.entry(name.to_string()).or_insert(0);
                *most = count.max(*most);
            }
        }
        Ok(most)
    }

    /// Makes every occurrence of `call` fail, in either process, with each of its errnos.
    pub fn fail_each(&self, folder: &Path, call: &str, times: usize) -> Result<(), Failed> {
        let Some(errnos) = table::errnos(call) else {
            return Err(
                format!("which errnos {call} can give is not in tests/failures/table.rs: add them there").into()
            );
        };
        let mut wrong = Vec::new();
        for errno in errnos {
            for at in 1..=times {
                let expression = format!("inject={call}:error={errno}:when={at}");
                let mounts = judge::mounts();
                let run = self.run(folder, std::slice::from_ref(&expression))?;
                let (kind, mut here) = judge::end(self.name, self.base, &run);
                TOTALS.count(kind);
                here.extend(judge::left(&run, &mounts, folder).into_iter().map(|what| format!("left: {what}")));
                if !here.is_empty() {
                    let hit = run.calls.iter().filter(|call| call.injected()).map(|call| {
                        let who = if run.is_child(call) { "child" } else { "parent" };
                        format!("{who} {}({})", call.name, call.arguments)
                    });
                    let hit = hit.collect::<Vec<_>>().join(" and ");
                    wrong.push(format!("strace -f -e {expression}  [{hit}]\n      {}", here.join("\n      ")));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    }
}
