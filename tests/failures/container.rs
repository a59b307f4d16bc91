//! A container in the background, for runs that enter it or command it; and what must be true of it after each of them: it is
//! as it was, or it has ended, and in either case it can be removed, and nothing of it stays.

use crate::preparation::name;
use crate::trace::mydocker_file;
use crate::worker::Worker;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long mydocker may take to start or to remove it: an emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container called [`name`].
pub struct Container {
    records: PathBuf,
    /// The cgroups in which mydocker makes its own.
    groups: Vec<PathBuf>,
    /// Its first process, and what tells that from a later one of this pid.
    process: (i32, String),
    /// The same of the mydocker that keeps it.
    keeper: (i32, String),
    /// The files of its record, and what is in them.
    record: Vec<(PathBuf, Vec<u8>)>,
    /// Its cgroups.
    directories: Vec<PathBuf>,
    is_removed: bool,
}

impl Container {
    /// Starts it with these options, and waits until its log holds `output`.
    pub fn start(worker: &Worker, options: &[&str], program: &Path, output: &str) -> io::Result<Container> {
        let (records, groups) = (worker.records(), worker.groups().to_vec());
        let mut command = Command::new(mydocker_file());
        command.args(["run", "-d", "--name", &name()]).args(options).arg(program);
        // SAFETY: the closure only makes system calls on memory that was allocated before the fork
        unsafe { command.pre_exec(worker.joining()) };
        let (status, said) = finish(command.env("MYDOCKER_STATE", &records))?;
        if status != Some(0) {
            return Err(io::Error::other(format!("run -d: {status:?}, {said}")));
        }
        let mut container = Container {
            records,
            groups,
            process: (0, String::new()),
            keeper: (0, String::new()),
            record: Vec::new(),
            directories: Vec::new(),
            is_removed: false,
        };
        let log = container.folder().join("log");
        await_that(|| fs::read_to_string(&log).is_ok_and(|text| text.ends_with(output)));
        let state = fs::read_to_string(container.folder().join("state"))?;
        let pid = state.lines().find_map(|line| line.strip_prefix("pid ")?.trim().parse().ok()).unwrap_or(0);
        container.process = (pid, began(pid).unwrap_or_default());
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let keeper = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        container.keeper = (keeper, began(keeper).unwrap_or_default());
        Ok(container)
    }

    /// What it is from now on to stay.
    pub fn note(mut self) -> Container {
        self.record = files(&self.folder());
        self.directories = directories(&self.groups);
        self
    }

    /// Waits until it has ended by itself.
    pub fn await_end(self) -> Container {
        await_that(|| fs::read_to_string(self.folder().join("status")).is_ok_and(|text| !text.trim().is_empty()));
        await_that(|| directories(&self.groups).is_empty());
        self
    }

    fn folder(&self) -> PathBuf {
        self.records.join(name())
    }

    /// Whether its cgroup is this one.
    pub fn had(&self, directory: &Path) -> bool {
        self.directories.iter().any(|own| own == directory)
    }

    /// What is wrong with it after a run, which `may_end` it. Then removes it.
    pub fn problems(&mut self, may_end: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if !may_end {
            if began(self.process.0).as_deref() != Some(&self.process.1) {
                wrong.push("the container has ended".to_string());
            }
            let record = files(&self.folder());
            if record != self.record {
                let text = |files: &[(PathBuf, Vec<u8>)]| {
                    format!(
                        "{:?}",
                        files
                            .iter()
                            .map(|(path, content)| {
                                (
                                    path.file_name().unwrap_or_default().to_os_string(),
                                    String::from_utf8_lossy(content).into_owned(),
                                )
                            })
                            .collect::<Vec<_>>()
                    )
                };
                wrong.push(format!("its record has changed: {} was {}", text(&record), text(&self.record)));
            }
            let now = directories(&self.groups);
            if now != self.directories {
                wrong.push(format!("the cgroups are {now:?}, and were {:?}", self.directories));
            }
        }
        wrong.extend(self.remove(may_end));
        wrong
    }

    /// Removes it as a user would, and says what stays.
    fn remove(&mut self, may_be_gone: bool) -> Vec<String> {
        self.is_removed = true;
        let mut wrong = Vec::new();
        let mut command = Command::new(mydocker_file());
        match finish(command.args(["rm", "-f", &name()]).env("MYDOCKER_STATE", &self.records)) {
            // `rm -f` ends with 0 even if the container does not exist.
            Ok((Some(0), said)) if may_be_gone || said.is_empty() => {}
            other => wrong.push(format!("it cannot be removed: {other:?}")),
        }
        if self.folder().exists() {
            wrong.push(format!("what stays of its record: {:?}", files(&self.folder())));
            fs::remove_dir_all(self.folder()).ok();
        }
        // The lock of its record ends a moment before the keeper itself.
        await_that(|| began(self.keeper.0).as_deref() != Some(&self.keeper.1));
        if began(self.process.0).as_deref() == Some(&self.process.1) {
            wrong.push("its process is still there".into());
            // SAFETY: kill takes two integers; it is the process that the container was started with
            unsafe { libc::kill(self.process.0, libc::SIGKILL) };
        }
        for directory in directories(&self.groups) {
            wrong.push(format!("a cgroup of it stays: {}", directory.display()));
            await_that(|| fs::remove_dir(&directory).is_ok());
        }
        wrong
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.is_removed {
            self.remove(true);
        }
    }
}

/// Waits a while.
fn await_that(happened: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !happened() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The exit status of a command that says little, and what it says. None if it has to be killed.
fn finish(command: &mut Command) -> io::Result<(Option<i32>, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status.code(),
            None if Instant::now() > end => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_string(&mut said)?;
    }
    Ok((status, said))
}

/// When a process that has not ended began, as /proc has it: proc_pid_stat(5).
fn began(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (!["Z", "X"].contains(fields.first()?)).then(|| fields.get(19).unwrap_or(&"").to_string())
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // A FIFO is not to be read.
    let mut files: Vec<_> = entries
        .map(|path| {
            let content = if path.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            (path, content)
        })
        .collect();
    files.sort();
    files
}

/// The cgroups that mydocker has made in these.
fn directories(groups: &[PathBuf]) -> Vec<PathBuf> {
    let entries = groups.iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"mydocker-"))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
