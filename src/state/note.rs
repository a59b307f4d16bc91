//! What a mydocker writes into its record: which process it is, and how it has ended.

use super::folder::remove;
use super::stat::start_of;
use super::{
    BLANK_START, End, KEEPER, LOST_AT, LOST_LOG, RESTARTING, ROOT, STATE, STATUS, VERSION, put_line, put_number,
};
use crate::bytes::{self, FixedBytes, Put};
use crate::cgroup::{Group, Version};
use crate::error::{Errno, Result};
use crate::spec::Spec;
use crate::step::{Parent, ParentStep};
use crate::sys::{self, Dir, NEW, OpenFlags, Pid, Place};
use alloc::vec::Vec;

step! {
    /// Notes in its record which process it is.
    ///
    /// Once the command is executed, the new file becomes its state.
    pub struct NoteProcess {
        /// What does not depend on the process.
        pub about: Vec<u8>,
        /// Its root is that of its mydocker, which may be in a chroot: `exec` looks for it.
        pub shares_root: bool,
        /// Its groups.
        pub groups: &'static [&'static Group],
    }
}

impl ParentStep for NoteProcess {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let (Some((_, _, dir)), Some(pid)) = (&parent.record, parent.pid) else { return Ok(()) };
        let mut state = self.about.clone();
        for group in self.groups {
            let Some(dir) = group.dir() else { continue };
            state.put(match group.hierarchy.version {
                Version::V2 => b"group 2 ",
                Version::V1 if group.hierarchy.has_freezer() => b"group f ",
                Version::V1 => b"group 1 ",
            });
            match group.path {
                Some(path) => state.put(path.to_bytes()),
                // Its hierarchy is mounted nowhere: there is no other way to it than by what this process holds open.
                None => {
                    state.put(b"/proc/");
                    state.put_decimal(sys::getpid().0 as u64);
                    state.put(b"/fd/");
                    state.put_decimal(dir.fd().number() as u64);
                }
            }
            state.put(b"\n");
        }
        if let Some(address) = parent.address {
            let mut word = Vec::new();
            address.put(&mut word);
            // As long in a dry run, which does not know it.
            state.put(b"address ");
            state.put_column(&word, b"255.255.255.255".len());
            state.put(b"\n");
        }
        if !parent.ports.is_empty() {
            state.put(b"ports ");
            state.put(&parent.ports);
            state.put(b"\n");
        }
        if self.shares_root {
            let Place { file: ((major, minor), inode), mount } = root_of(pid)?;
            for (key, value) in ROOT.iter().zip([mount, u64::from(major) << 32 | u64::from(minor), inode]) {
                put_number(&mut state, key, value, 20);
            }
        }
        put_line(&mut state, b"pid", pid.0 as u64);
        put_line(&mut state, b"start", start_of(pid));
        state.put(b"end\n");
        dir.write_new(&state)
    }
}

/// Where the root of that process is. Its mounts have numbers of their own; whoever may not look there, as proc_pid_root(5) says,
/// knows which directory it is, which this process has, too.
fn root_of(pid: Pid) -> Result<Place> {
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/root"]);
    match sys::open(path, OpenFlags::PATH) {
        Ok(root) => sys::place_of(&root).map_err(|e| e.about(path.to_bytes())),
        // It may have ended: the run finds out by itself.
        Err(e) if !e.is_one_of(&[Errno::EACCES, Errno::EPERM, Errno::ENOENT]) => Err(e),
        Err(_) => Ok(Place { mount: 0, ..sys::place_of_root()? }),
    }
}

/// What the state file says beside the process and its groups.
pub fn about(spec: &Spec, words: &[u8]) -> Vec<u8> {
    let mut about = VERSION.to_vec();
    put_line(&mut about, b"detached", spec.detach.into());
    if let Some(signal) = spec.stop_signal {
        put_line(&mut about, b"stop", signal as u64);
    }
    put_line(&mut about, b"began", sys::realtime() / 1000);
    if spec.detach && spec.restart.is_some() {
        let keeper = sys::getppid();
        let [pid, start, _] = KEEPER;
        put_line(&mut about, pid, keeper.0 as u64);
        put_line(&mut about, start, start_of(keeper));
    }
    let mut command = FixedBytes::<200>::new();
    for word in bytes::split(words.strip_suffix(b"\0").unwrap_or_default(), 0) {
        command.put(if command.as_bytes().is_empty() { b"" } else { b" " });
        command.put_escaped(word);
    }
    about.put(b"command ");
    about.put(command.as_bytes());
    about.put(b"\n");
    about
}

/// The command has been executed.
pub fn note_running(spec: &Spec, parent: &Parent) -> Result<()> {
    let Some((_, _, dir)) = &parent.record else { return Ok(()) };
    dir.rename(NEW, STATE)?;
    // Up to here it was said to be restarting.
    if spec.restart.is_some() { write_status(dir, BLANK_START) } else { Ok(()) }
}

/// Takes that back: nobody has heard of it, and it ends.
pub fn note_unheard(parent: &Parent) -> Result<()> {
    parent.record.as_ref().map_or(Ok(()), |(_, _, dir)| dir.unlink(STATE))
}

/// Whether the command has ever been executed.
pub fn has_run(dir: &Dir) -> Result<bool> {
    dir.has(STATE)
}

/// In place, where it has its room; whoever waits has it open.
fn write_status(dir: &Dir, line: &[u8]) -> Result<()> {
    let file = dir.open_plain(STATUS, OpenFlags::WRONLY)?;
    sys::write_all(file.borrow(), line).map_err(|e| e.about(b"status"))
}

/// Notes how it has ended, and that it is now.
pub fn note_status(dir: &Dir, end: End) -> Result<()> {
    let mut line = FixedBytes::<200>::new();
    line.put_decimal(end.status);
    line.put(b" ");
    line.put_decimal(sys::realtime() / 1000);
    line.put(b" ");
    let word = end.reason.map_or("", |reason| reason.word);
    line.put_column(word.as_bytes(), LOST_AT - line.as_bytes().len());
    // What an earlier run has lost stays noted.
    if end.lost_log {
        line.put(LOST_LOG);
    }
    write_status(dir, line.as_bytes())
}

/// Notes beside the status that it will be started again.
pub fn note_pause(dir: &Dir) -> Result<()> {
    let file = dir.open_plain(STATUS, OpenFlags::WRONLY)?;
    // The file is as long already, so that only a disk that fails can refuse it. Then `ps` says in the pause that the container
    // runs, which is no reason to end its restarts.
    let _ = sys::pwrite_all(file.borrow(), RESTARTING, LOST_AT as u64 - 2);
    Ok(())
}

/// Notes that the container has ended. `executed`: its command had begun. Only the record of a detached container is kept.
pub fn note_end(spec: &Spec, parent: &Parent, end: End, executed: bool) -> Result<()> {
    let Some((folder, name, dir)) = &parent.record else { return Ok(()) };
    // One that cannot be started again was there before.
    let is_kept = executed || spec.restart.is_some() && has_run(dir)?;
    if !is_kept {
        return remove(folder, name, dir);
    }
    let noted = note_status(dir, end);
    if spec.detach && !spec.remove { noted } else { noted.and(remove(folder, name, dir)) }
}
