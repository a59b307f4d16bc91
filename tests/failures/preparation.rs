//! What a run finds: leftovers of other runs, a name that is taken, a user's terminal. And what must have happened to
//! it after the run.

use crate::cgroup_parent::remove_group;
use crate::container::Container;
use crate::network::{self, Network};
use crate::program;
use crate::relayed::Caller;
use crate::support::host::tool;
use crate::support::needs::on_v2;
use crate::table::may_stay_in_root;
use crate::trace::{Traced, mydocker_file};
use crate::worker::Worker;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The directory of the programs, which are written before any fork.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// What existed before a run.
#[derive(Default)]
pub struct Preparation {
    /// Directories of other runs, and their inode numbers.
    existing: Vec<(PathBuf, u64)>,
    /// The directories are leftovers, and the run must sweep them.
    must_be_swept: bool,
    /// The locks that a live mydocker holds.
    locks: Vec<File>,
    /// A process that has outlived its mydocker.
    member: Option<Child>,
    /// The user's terminal: the keyboard and screen side, the side that programs see, and its settings.
    terminal: Option<(OwnedFd, OwnedFd, Termios)>,
    /// The container's own root, and the files in it.
    root: Option<(PathBuf, Vec<PathBuf>)>,
    /// A network of the run's own.
    network: Option<Network>,
    /// Another one.
    other_network: Option<File>,
    /// A container of another mydocker, and that mydocker.
    neighbour: Option<Child>,
    /// A container in the background.
    container: Option<Container>,
    /// Who calls its published ports.
    caller: Option<Caller>,
}

fn inode(path: &Path) -> io::Result<u64> {
    fs::metadata(path).map(|data| data.ino())
}

impl Preparation {
    pub fn none(_: &Worker) -> io::Result<Preparation> {
        Ok(Preparation::default())
    }

    /// A terminal in which the user has already typed a line.
    pub fn terminal(_: &Worker) -> io::Result<Preparation> {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&keys)?;
        let side = open(ptsname(&keys, Vec::new())?, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&keys, b"x\n")?;
        let settings = tcgetattr(&side)?;
        let mut preparation = Preparation::default();
        preparation.terminal = Some((keys, side, settings));
        Ok(preparation)
    }

    /// What killed mydockers leave: directories, one of them with a child cgroup that the container had made, another
    /// with a process that has escaped.
    pub fn leftovers(worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::directories("mydocker-left", worker)?;
        preparation.must_be_swept = true;
        let groups = worker.groups();
        let group = |at: usize| groups[at % groups.len()].join("mydocker-left");
        fs::create_dir(group(1).join("made inside"))?;
        let stays = FOLDER.get().map(|folder| folder.join("stays")).unwrap_or_default();
        let member = Command::new(stays).spawn()?;
        fs::write(group(0).join("cgroup.procs"), member.id().to_string())?;
        preparation.member = Some(member);
        Ok(preparation)
    }

    /// The directories of [`name`], left by a run that was killed.
    pub fn name_left(worker: &Worker) -> io::Result<Preparation> {
        Preparation::directories(&format!("mydocker-{}", name()), worker)
    }

    /// The same, of a run that is alive.
    pub fn name_taken(worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::name_left(worker)?;
        for (directory, _) in &preparation.existing {
            let lock = File::open(directory)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            preparation.locks.push(lock);
        }
        Ok(preparation)
    }

    /// A root that contains only the command: everything else must be made in it.
    pub fn root(worker: &Worker) -> io::Result<Preparation> {
        Preparation::root_in(&worker.folder)
    }

    fn root_in(folder: &Path) -> io::Result<Preparation> {
        let programs = FOLDER.get().ok_or(io::ErrorKind::NotFound)?;
        let root = folder.join("root");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir(&root)?;
        fs::hard_link(programs.join("leaves"), root.join("leaves"))?;
        let mut preparation = Preparation::default();
        let existing = all_below(&root)?;
        preparation.root = Some((root, existing));
        Ok(preparation)
    }

    /// A child cgroup of the caller's own cgroup, for `--cgroup-parent`.
    pub fn group_below(worker: &Worker) -> io::Result<Preparation> {
        let preparation = Preparation::directories(BELOW, worker)?;
        // On v1, no process can join a cpuset that has no CPUs or no memory nodes, nor a descendant of one.
        for group in worker.groups().iter().filter(|group| !on_v2("cpuset") && group.join("cpuset.cpus").exists()) {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(group.join(BELOW).join(file), fs::read(group.join(file))?)?;
            }
        }
        Ok(preparation)
    }

    /// A network of the run's own, to which a link called `netns` leads.
    pub fn network(worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::default();
        preparation.network = Some(Network::make()?);
        let link = worker.folder.join("netns");
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        // The kernel's name for what a thread is in: in other threads, thread-self leads elsewhere.
        let own = fs::read_link("/proc/thread-self")?;
        std::os::unix::fs::symlink(Path::new("/proc").join(own).join("ns/net"), link)?;
        Ok(preparation)
    }

    /// A network of the run's own, and another one, to which a link called `netns` leads.
    pub fn networks(worker: &Worker) -> io::Result<Preparation> {
        let other = Network::make()?;
        let file = File::open("/proc/thread-self/ns/net")?;
        drop(other);
        let mut preparation = Preparation::network(worker)?;
        let link = worker.folder.join("netns");
        fs::remove_file(&link)?;
        std::os::unix::fs::symlink(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()), link)?;
        preparation.other_network = Some(file);
        Ok(preparation)
    }

    /// A network of the run's own, and in it a caller of its published ports.
    pub fn caller(worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::network(worker)?;
        network::bring_up_loopback()?;
        preparation.caller = Some(Caller::start()?);
        Ok(preparation)
    }

    /// A network of the run's own, and in it a container called [`name`], with a network in turn.
    pub fn neighbour(worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::network(worker)?;
        let stays = FOLDER.get().map(|folder| folder.join("stays")).unwrap_or_default();
        let words = ["run", "--no-limits", "--name", &name()];
        let mut command = Command::new(mydocker_file());
        command.args(words).arg(stays).env("MYDOCKER_STATE", worker.records()).stdin(Stdio::null());
        // SAFETY: the closure only makes system calls on memory that was allocated before the fork
        unsafe { command.pre_exec(worker.joining()) };
        preparation.neighbour = Some(command.spawn()?);
        let state = worker.records().join(name()).join("state");
        let end = Instant::now() + Duration::from_secs(60);
        while !state.exists() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(preparation)
    }

    /// A container in the background, with two limits, that has printed a dot and stays.
    pub fn container(worker: &Worker) -> io::Result<Preparation> {
        Preparation::background(worker, &["-i", "-m", "100m", "--cpu-shares", "2048"], "holds")
    }

    /// The same, with every privilege.
    pub fn privileged_container(worker: &Worker) -> io::Result<Preparation> {
        Preparation::background(worker, &["-i", "--no-limits", "--privileged"], "holds")
    }

    /// A container in the background that has ended.
    pub fn ended_container(worker: &Worker) -> io::Result<Preparation> {
        Preparation::background(worker, &["--no-limits"], "leaves")
    }

    fn background(worker: &Worker, options: &[&str], program: &str) -> io::Result<Preparation> {
        let file = FOLDER.get().map(|folder| folder.join(program)).unwrap_or_default();
        let mut preparation = Preparation::default();
        let stays = program == "holds";
        let container = Container::start(worker, options, &file, if stays { "." } else { "" })?;
        preparation.container = Some(if stays { container } else { container.await_end() }.note());
        Ok(preparation)
    }

    fn directories(name: &str, worker: &Worker) -> io::Result<Preparation> {
        let mut preparation = Preparation::default();
        for folder in worker.groups() {
            let directory = folder.join(name);
            if directory.exists() {
                remove_group(&directory)?;
            }
            // The sticky bit marks a directory that mydocker made.
            DirBuilder::new().mode(0o1755).create(&directory)?;
            preparation.existing.push((directory.clone(), inode(&directory)?));
        }
        Ok(preparation)
    }

    pub fn stdin(&self) -> Option<BorrowedFd<'_>> {
        self.caller.as_ref().map(Caller::stdin).or(self.terminal.as_ref().map(|(_, side, _)| side.as_fd()))
    }

    /// Whether this directory existed before the run.
    pub fn had(&self, directory: &Path) -> bool {
        self.existing.iter().any(|(path, number)| path == directory && inode(path).is_ok_and(|now| now == *number))
            || self.container.as_ref().is_some_and(|container| container.had(directory))
    }

    /// What a run has left in its network.
    pub fn left_in_network(&self) -> Vec<String> {
        self.network.as_ref().map_or(Vec::new(), Network::left)
    }

    /// What should have happened to it and has not; `may_end`: the run may end the container that was there.
    pub fn problems(&mut self, may_end: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for (directory, _) in &self.existing {
            let is_there = self.had(directory);
            if self.must_be_swept && is_there {
                wrong.push(format!("not swept: {}", directory.display()));
            }
            if !self.locks.is_empty() && !is_there {
                wrong.push(format!("removed although its mydocker is alive: {}", directory.display()));
            }
        }
        wrong.extend(self.terminal_changed());
        if self.caller.as_mut().is_some_and(|caller| !caller.has_answers()) {
            wrong.push(NO_ANSWER.into());
        }
        wrong.extend(self.container.iter_mut().flat_map(|container| container.problems(may_end)));
        wrong
    }

    /// The same after a run in which a call has failed: the failed call may belong to the sweep, or to a run that ended
    /// before the sweep.
    pub fn problems_after(&mut self, run: &Traced, may_end: bool) -> Vec<String> {
        if self.must_be_swept { Vec::new() } else { self.problems_unless_restoring_failed(run, may_end) }
    }

    fn problems_unless_restoring_failed(&mut self, run: &Traced, may_end: bool) -> Vec<String> {
        let restores = run.calls.iter().any(|call| call.injected() && call.arguments.contains("TCSETS"));
        let mut wrong = self.problems(may_end);
        // Nobody serves, or the relay has ended and has said so.
        let is_told = !run.stderr.is_empty();
        wrong.retain(|what| !(restores && what.starts_with(TERMINAL) || is_told && what == NO_ANSWER));
        // In a directory root, the mount points that a run has made stay, as in docker; if no command was run, none are
        // made.
        if let Some((root, existing)) =
            self.root.as_ref().filter(|_| run.executed().is_none() && may_stay_in_root(run).is_none())
        {
            match all_below(root) {
                Ok(now) if now == *existing => {}
                other => wrong.push(format!("the root contains {other:?}, not {existing:?}")),
            }
        }
        wrong
    }

    fn terminal_changed(&self) -> Option<String> {
        let (_, side, before) = self.terminal.as_ref()?;
        let show = |settings: &Termios| format!("{settings:?}");
        let now = match tcgetattr(side) {
            Ok(now) => now,
            Err(error) => return Some(format!("{TERMINAL} cannot be read: {error}")),
        };
        (show(&now) != show(before)).then(|| format!("{TERMINAL} are changed: {} were {}", show(&now), show(before)))
    }
}

/// Every path below a directory, recursively.
fn all_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.extend(all_below(&entry.path())?);
        }
        all.push(entry.path());
    }
    all.sort();
    Ok(all)
}

const NO_ANSWER: &str = "the caller of the published ports has got no answer";

const TERMINAL: &str = "the settings of the user's terminal";

impl Drop for Preparation {
    fn drop(&mut self) {
        if let Some(neighbour) = &mut self.neighbour {
            // SAFETY: kill takes two integers; it is our unreaped child
            unsafe { libc::kill(neighbour.id() as i32, libc::SIGTERM) };
            neighbour.wait().ok();
        }
        if let Some(member) = &mut self.member {
            // The sweep may have killed it; it is our unreaped child, so its pid has not been reused.
            member.kill().ok();
            member.wait().ok();
        }
        for (directory, _) in self.existing.iter().filter(|(directory, _)| directory.exists()) {
            if let Err(error) = remove_group(directory) {
                println!("{} cannot be removed: {error}", directory.display());
            }
        }
    }
}

/// The name of the containers that have one. It contains our pid, because this test may run several times at once.
pub fn name() -> String {
    format!("failures-name-{}", std::process::id())
}

/// The cgroup that `--cgroup-parent` names.
pub const BELOW: &str = "below";

/// Writes the programs and files that the scenarios name.
pub fn make_programs(folder: &Path) -> io::Result<()> {
    program::leaves(folder)?;
    program::reads(folder)?;
    program::stays(folder)?;
    program::holds(folder)?;
    let script = folder.join("script");
    fs::write(&script, "#!/nowhere/sh\n")?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::write(folder.join("variables"), "# a comment\nA=1\n")?;
    FOLDER.get_or_init(|| folder.to_path_buf());
    // An image with the same content as `Preparation::root`, if a tool that makes one is installed.
    if let Some(mksquashfs) = tool("mksquashfs") {
        let Preparation { root: Some((root, _)), .. } = &Preparation::root_in(folder)? else { return Ok(()) };
        for name in ["proc", "sys", "dev"] {
            fs::create_dir(root.join(name))?;
        }
        let (image, quietly) = (folder.join("image"), ["-quiet", "-no-progress"]);
        let made = Command::new(mksquashfs).args([root, &image]).args(quietly).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
    }
    Ok(())
}
