//! A record, as whoever looks for a container reads it.

use super::stat::{Stat, pid_namespace, stat};
use super::{
    BLANK, BLANK_START, CONFIG, CONFIG_END, DAMAGED, KEEPER, LOST_LOG, OURS, RESTARTING, ROOT, STATE, STATUS,
    STATUS_FILE_LEN, STATUS_LEN, VERSION,
};
use crate::bytes::{self, FixedBytes, Put};
use crate::cgroup::Group;
use crate::cgroup::directory::{FREEZER_STATE, THAWED, end_leftover};
use crate::error::{Errno, Error, Result};
use crate::sys::{self, AtFlags, Dir, Fd, FdRef, Lock, OpenFlags, Pid, Place, Status, magic, record};
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is no plain file fails with one of these: a link, a socket, a directory, a FIFO, which has no offsets, and what O_PATH opens.
const ODD: &[Errno] = &[Errno::ELOOP, Errno::ENXIO, Errno::EISDIR, Errno::ESPIPE, Errno::EBADF];

/// What stands for a state that cannot be read.
const DAMAGED_STATE: &[u8] = b"\0";

/// How long a state file may be: as its paths and its ports may be.
const STATE_LEN: usize = 6 * libc::PATH_MAX as usize;

/// Why a container was ended, where its status does not say so.
pub struct Reason {
    /// Its word in the file of the status.
    pub(super) word: &'static str,
    /// What a table says.
    pub text: &'static str,
    /// Its key in JSON.
    pub key: &'static str,
}

/// The kernel has killed for lack of memory.
pub static OUT_OF_MEMORY: Reason = Reason { word: "oom", text: ", out of memory", key: "out_of_memory" };
/// `--timeout`.
pub static TIMED_OUT: Reason = Reason { word: "time", text: ", by --timeout", key: "timed_out" };
/// Every reason.
pub static REASONS: [&Reason; 2] = [&OUT_OF_MEMORY, &TIMED_OUT];

/// How a container has ended.
#[derive(Clone, Copy)]
pub struct End {
    /// The exit status.
    pub status: u64,
    /// When, in seconds since 1970. 0 until it is noted.
    pub at: u64,
    /// Why mydocker or the kernel has ended it.
    pub reason: Option<&'static Reason>,
    /// The disk was full: the end of its log is lost, and the log has no room to say so. This is only to be noted: of what is noted,
    /// [`Record::has_lost_log`] speaks.
    pub lost_log: bool,
}

impl End {
    /// With this status; nothing else is noted.
    pub fn of(status: i32) -> End {
        End { status: status as u64, at: 0, reason: None, lost_log: false }
    }
}

/// A process, its pid, and that of its parent.
pub type Process = (Fd, Pid, Pid);

/// What stops a container: a directory, or its path; a file in it, and what that says of one that goes on, and of one that is stopped.
pub type Freezer<Directory = Dir> = (Directory, &'static CStr, [&'static [u8]; 2]);

/// What `exec` needs to know of a container.
pub struct Config {
    /// The directory that mydocker was started in, if that could be told.
    pub directory: Option<&'static CStr>,
    /// The options, as names and values.
    pub words: Vec<&'static str>,
    /// The environment of the command.
    pub environment: Vec<&'static CStr>,
}

/// A record, as it was read.
pub struct Record {
    /// Its folder.
    pub dir: Dir,
    /// The file of its status; it can be read even when it is removed.
    status: Fd,
    /// What that file says; `None`: it is no plain file.
    line: Option<[u8; STATUS_LEN]>,
    /// Whoever has made it: see [`KEEPER`].
    keeper: [u64; 3],
    /// Somebody keeps it.
    pub alive: bool,
    /// Its state file; empty while it starts.
    pub state: Vec<u8>,
}

/// The folder `name`, if a mydocker has made it: the user may keep records in a folder that has others.
pub(super) fn open_ours(folder: &Dir, name: &CStr) -> Result<Option<Dir>> {
    match Dir::open(Some(folder), name) {
        Err(e) if e.is(Errno::ENOENT) => Ok(None),
        dir => {
            let dir = dir?;
            let status = sys::statx_fd(dir.fd()).map_err(|e| e.about(dir.path))?;
            if record::is_on() {
                return Ok(Some(dir));
            }
            if status.mode & OURS != OURS {
                return Ok(None);
            }
            // Root may look into the folders of all, and would act on what another user has written there.
            if status.uid != sys::effective_ids().0 {
                return Err(Error::refused("this record belongs to somebody else:", name.to_bytes(), ""));
            }
            Ok(Some(dir))
        }
    }
}

/// Lets those go on that have a child in the container whose file of the status this is, and are stopped.
fn continue_entered(status: Status) -> Result<()> {
    let locks = sys::read_file(c"/proc/locks").unwrap_or_default();
    for lock in bytes::split(&locks, b'\n') {
        let mut words = bytes::words(lock).skip(4);
        let (Some(pid), Some(file)) = (words.next(), words.next()) else { continue };
        let mut numbers = bytes::split(file, b':');
        let mut hexadecimal = |expected: u32| numbers.next().and_then(bytes::hexadecimal) == Some(expected.into());
        if hexadecimal(status.device.0)
            && hexadecimal(status.device.1)
            && numbers.next().is_some_and(|inode| bytes::decimal(inode) == Ok(status.inode))
            && let Ok(pid @ 1..) = bytes::decimal(pid)
        {
            // It may have changed its user.
            sys::kill(Pid(pid as i32), libc::SIGCONT).unwrap_or_default();
        }
    }
    Ok(())
}

/// The same as [`Record::continue_entered`] for the keeper, who holds the record's folder open by this number.
pub fn continue_entered_in(folder: i32) -> Result<()> {
    let number = bytes::to_decimal(folder as u64);
    continue_entered(sys::statx(
        FdRef::CWD,
        bytes::c_string(&[b"/proc/self/fd/", &number, b"/", STATUS.to_bytes()]),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

impl Record {
    /// The record of this name, if there is one.
    pub fn open(folder: &Dir, name: &CStr) -> Result<Option<Record>> {
        let missing = |e: Error| e.is(Errno::ENOENT);
        let Some(dir) = open_ours(folder, name)? else { return Ok(None) };
        let alive = !sys::lock(&dir, Lock::SH | Lock::NB)?;
        let status = match dir.open_plain(STATUS, OpenFlags::NONE) {
            Err(e) if missing(e) => return Ok(None),
            // Whatever it is, nothing can be read from it.
            Err(e) if e.is_one_of(ODD) => dir.open_plain(STATUS, OpenFlags::PATH)?,
            other => other?,
        };
        let state = match dir.open_plain(STATE, OpenFlags::NONE).and_then(|file| read_state(&file)) {
            Err(e) if missing(e) => Vec::new(),
            Err(e) if e.is_one_of(ODD) => DAMAGED_STATE.to_vec(),
            // It is written in whole, and gets its name then.
            Ok(state) if state.is_empty() => DAMAGED_STATE.to_vec(),
            state => state?,
        };
        let (line, keeper) = read_status(&status, &state)?;
        Ok(Some(Record { dir, status, line, keeper, alive, state }))
    }

    /// Whether the files are plain ones, and that of the state is whole, and of this version.
    pub fn is_readable(&self) -> bool {
        self.line.is_some()
            && (self.state.is_empty() || self.state.starts_with(VERSION) && self.state.ends_with(b"\nend\n"))
    }

    /// The value of a line.
    pub fn field(&self, key: &[u8]) -> &[u8] {
        bytes::field(&self.state, key).unwrap_or_default()
    }

    /// The number in a line.
    pub fn number(&self, key: &[u8]) -> u64 {
        number_in(&self.state, key)
    }

    /// The words of its command, with blanks between them, as they were given. Where there are too many, the end is `...`.
    pub fn command(&self) -> FixedBytes {
        let mut command = FixedBytes::new();
        let escaped = bytes::split(&self.state, b'\n').find_map(|line| line.strip_prefix(b"command "));
        command.put_unescaped(escaped.unwrap_or_default());
        command
    }

    pub(super) fn is_detached(&self) -> bool {
        self.number(b"detached") == 1 || !self.is_readable()
    }

    /// How it has ended. `None`: it has not, or its keeper was killed. One that is alive is being started again.
    pub fn end(&self) -> Option<End> {
        let line = self.line.as_ref()?;
        parse_end(line).filter(|_| !self.alive || has(line, RESTARTING))
    }

    /// Whether one of its runs has lost the end of its log.
    pub fn has_lost_log(&self) -> bool {
        self.line.is_some_and(|line| has(&line, LOST_LOG))
    }

    /// Its process, and the pid of the keeper, if it runs.
    pub fn process(&self) -> Result<Option<Process>> {
        self.process_of(self.number(b"pid"), self.number(b"start"))
    }

    /// Whoever has made it, and keeps it, from the start. With a restart that is the process that starts it again.
    pub fn keeper(&self) -> Result<Option<Process>> {
        self.process_of(self.keeper[0], self.keeper[1])
    }

    /// Whether its processes can be seen from here: in another PID namespace they have other pids, or none.
    pub fn is_seen(&self) -> Result<bool> {
        let [.., namespace] = self.keeper;
        Ok(namespace == 0 || namespace == pid_namespace()?)
    }

    /// The keeper that starts it again, if it has one.
    pub fn restarter(&self) -> Result<Option<Process>> {
        self.process_of(self.number(b"keeper"), self.number(b"keeper-start"))
    }

    fn process_of(&self, pid: u64, start: u64) -> Result<Option<Process>> {
        let Some(pid) = self.noted_pid(pid) else { return Ok(None) };
        // First the descriptor, then the question whose it is: it does not change its owner.
        let Some(process) = sys::pidfd_if_alive(pid)? else { return Ok(None) };
        Ok(stat_since(pid, start)?.map(|stat| (process, pid, stat.parent)))
    }

    /// The pid of its process, if it runs, for a list: without a descriptor it may be another's at any time after this.
    pub fn pid(&self) -> Result<Option<Pid>> {
        let Some(pid) = self.noted_pid(self.number(b"pid")) else { return Ok(None) };
        Ok(stat_since(pid, self.number(b"start"))?.map(|_| pid))
    }

    fn noted_pid(&self, pid: u64) -> Option<Pid> {
        Some(Pid(pid as i32)).filter(|pid| self.alive && pid.0 != 0)
    }

    /// Notes, as long as this record is open, that this process has a child in the container.
    pub fn enter(&self) -> Result<()> {
        sys::lock_file(&self.status, Lock::SH | Lock::NB).map(drop).map_err(|e| e.about(STATUS.to_bytes()))
    }

    /// Lets those go on that have a child in the container and are stopped: a PID namespace ends only when each of its processes has
    /// been waited for (pid_namespaces(7)). proc_locks(5) says who they are.
    pub fn continue_entered(&self) -> Result<()> {
        continue_entered(sys::statx_fd(self.status.borrow()).map_err(|e| e.about(b"status"))?)
    }

    /// Whether its process has ended, while somebody keeps it: whoever that is cleans up. As long as nobody has asked how it has
    /// ended, there is the keeper's pid, too. A process of another start time is somebody else's, and says nothing.
    pub fn has_just_ended(&self) -> (bool, Option<Pid>) {
        let pid = Pid(self.number(b"pid") as i32);
        if !self.alive || !self.is_readable() || pid.0 == 0 {
            return (false, None);
        }
        match stat(pid) {
            Ok(None) => (true, None),
            Ok(Some(stat)) if stat.is_zombie && stat.start == self.number(b"start") => (true, Some(stat.parent)),
            _ => (false, None),
        }
    }

    /// What `exec` needs. Half of it would be a container that is confined less than this one.
    pub fn config(&self) -> Result<Config> {
        let mut config = Vec::new();
        let file = self.dir.open_plain(CONFIG, OpenFlags::NONE)?;
        sys::read_to_end(file.borrow(), &mut config).map_err(|e| e.about(CONFIG.to_bytes()))?;
        parse_config(config.leak()).ok_or_else(|| Error::refused(DAMAGED, self.dir.path, ""))
    }

    /// The root that its mydocker had, which is its own, too. `None`: it has another.
    pub fn root(&self) -> Option<Place> {
        let [mount, device, inode] = ROOT.map(|key| self.number(key));
        let file = (((device >> 32) as u32, device as u32), inode);
        (inode != 0).then_some(Place { file, mount })
    }

    /// Its groups: `2` for v2, `f` for the freezer of v1, `1` for the rest of it; and their paths.
    fn group_paths(&self) -> impl Iterator<Item = (u8, &[u8])> {
        bytes::split(&self.state, b'\n').filter_map(|line| {
            let path = line.strip_prefix(b"group ")?;
            Some((*path.first()?, path.get(2..)?))
        })
    }

    /// Whether it has any.
    pub fn has_groups(&self) -> bool {
        self.group_paths().next().is_some()
    }

    /// The file that v2 and v1 have by these names, in the first of its groups that has it.
    pub fn group_file(&self, names: [&str; 2]) -> Option<Fd> {
        self.group_paths().find_map(|(kind, path)| {
            let name = if kind == b'2' { names[0] } else { names[1] };
            // The path is what the record says: a FIFO there is not to be waited for.
            sys::open(bytes::c_string(&[path, b"/", name.as_bytes()]), OpenFlags::NONBLOCK).ok()
        })
    }

    /// What stops it, not opened.
    fn freezer_path(&self) -> Option<Freezer<&[u8]>> {
        let (kind, path) = self.group_paths().find(|(kind, _)| *kind != b'1')?;
        Some(match kind {
            b'2' => (path, c"cgroup.freeze", [b"0", b"1"]),
            _ => (path, FREEZER_STATE, [THAWED, b"FROZEN"]),
        })
    }

    /// What stops it.
    pub fn freezer(&self) -> Option<Freezer> {
        let (path, file, values) = self.freezer_path()?;
        Some((Dir::open(None, bytes::c_string(&[path])).ok()?, file, values))
    }

    /// Whether the freezer has stopped it, or is about to.
    pub fn is_frozen(&self) -> bool {
        self.freezer_path().is_some_and(|(path, file, [goes_on, _])| {
            let path = bytes::c_string(&[path, b"/", file.to_bytes()]);
            let mut value = [0; 16];
            // What is no control file, as a FIFO, has no offsets.
            let read = sys::open(path, OpenFlags::NONBLOCK).and_then(|file| sys::pread(file.borrow(), &mut value, 0));
            read.is_ok_and(|n| value.get(..n).unwrap_or_default().trim_ascii() != goes_on)
        })
    }

    /// Lets it go on if it is paused, without waiting until it does. It may have ended meanwhile.
    pub fn thaw(&self) -> Result<()> {
        if self.is_frozen()
            && let Some((dir, file, [goes_on, _])) = self.freezer()
        {
            return match dir.write(file, goes_on) {
                Err(e) if !e.is_one_of(&[Errno::ENOENT, Errno::ENODEV]) => Err(e),
                _ => Ok(()),
            };
        }
        Ok(())
    }

    /// Its groups. On v2 it may have made groups of its own: then none that has children takes a process, and the one that
    /// its first process is in does.
    pub fn groups(&self, pid: Pid, name: &CStr) -> Result<Vec<&'static Group>> {
        let mut groups = Vec::new();
        for (kind, path) in self.group_paths() {
            let inner = if kind == b'2' { inner_group(pid, name)? } else { None };
            let path = bytes::c_string(&[path, inner.unwrap_or_default()]);
            groups.push(Group::existing(Dir::open(None, path)?)?);
        }
        Ok(groups)
    }

    /// Ends what is left in its groups of a container whose keeper was killed, and removes them, as the sweep of a later run does.
    /// Returns whether there was a process. The freezer comes first: on v1 no signal reaches what is frozen.
    pub fn end_leftovers(&self, name: &CStr) -> Result<bool> {
        if self.alive || self.end().is_some() || !self.is_readable() {
            return Ok(false);
        }
        self.end_groups(name)
    }

    /// The same, whoever keeps it.
    pub fn end_groups(&self, name: &CStr) -> Result<bool> {
        let mut had_members = false;
        for is_freezer in [true, false] {
            for (_, path) in self.group_paths().filter(|(kind, _)| (*kind == b'f') == is_freezer) {
                let group = bytes::c_string(&[b"mydocker-", name.to_bytes()]);
                // Of a hierarchy that is mounted nowhere, the path leads through descriptors that its keeper had.
                let Some(parent) = path.strip_suffix(group.to_bytes()) else { continue };
                let parent = match Dir::open(None, bytes::c_string(&[parent])) {
                    Err(e) if e.is(Errno::ENOENT) => continue,
                    parent => parent?,
                };
                if magic::CGROUPS.contains(&sys::filesystem(parent.fd())?) {
                    had_members |= end_leftover(&parent, group)?;
                }
            }
        }
        Ok(had_members)
    }

    /// Waits until nobody keeps it.
    pub fn wait(&mut self) -> Result<()> {
        sys::lock(&self.dir, Lock::SH)?;
        (self.alive, self.line) = (false, read_status(&self.status, &self.state)?.0);
        Ok(())
    }
}

/// `None`: it is not whole.
fn parse_config(config: &'static [u8]) -> Option<Config> {
    let mut strings = config.strip_suffix(CONFIG_END)?.split_inclusive(|byte| *byte == 0);
    let mut next = || CStr::from_bytes_with_nul(strings.next()?).ok();
    let count = bytes::decimal(next()?.to_bytes()).ok()?;
    let directory = next().filter(|path| !path.is_empty());
    let (mut words, mut environment) = (Vec::new(), Vec::new());
    for _ in 0..count {
        words.push(next()?.to_str().ok()?);
    }
    while let Some(variable) = next() {
        environment.push(variable);
    }
    Some(Config { directory, words, environment })
}

/// What the file of a status says: the status, and who keeps it. `None`: it is no plain file, or cut short, or says something else.
/// Before there is a `state`, it may be empty: whoever made it was killed, or could not remove the rest.
fn read_status(file: &Fd, state: &[u8]) -> Result<(Option<[u8; STATUS_LEN]>, [u64; 3])> {
    let mut buffer = [0; STATUS_FILE_LEN];
    let line = match sys::pread(file.borrow(), &mut buffer, 0) {
        Err(e) if e.is_one_of(ODD) => None,
        Err(e) => return Err(e.about(STATUS.to_bytes())),
        Ok(0) => state.is_empty().then_some(BLANK),
        Ok(len) => buffer
            .first_chunk()
            .filter(|line| len >= line.len() && (line.starts_with(BLANK_START) || parse_end(*line).is_some()))
            .copied(),
    };
    let rest = buffer.get(STATUS_LEN..).unwrap_or_default();
    Ok((line, KEEPER.map(|key| number_in(rest, key))))
}

/// The number in the line with this key.
fn number_in(lines: &[u8], key: &[u8]) -> u64 {
    bytes::decimal(bytes::field(lines, key).unwrap_or_default()).unwrap_or(0)
}

/// What the kernel says of the process `pid`, if that has started then, and has not ended.
fn stat_since(pid: Pid, start: u64) -> Result<Option<Stat>> {
    Ok(stat(pid)?.filter(|stat| stat.start == start && !stat.is_zombie))
}

fn parse_end(line: &[u8]) -> Option<End> {
    let mut words = bytes::words(line);
    let mut number = || bytes::decimal(words.next()?).ok();
    let (status, at) = (number()?, number()?);
    let reason = REASONS.into_iter().find(|reason| has(line, reason.word.as_bytes()));
    Some(End { status, at, reason, lost_log: false })
}

fn has(line: &[u8], wanted: &[u8]) -> bool {
    bytes::words(line).any(|word| word == wanted)
}

/// What a state file says.
fn read_state(file: &Fd) -> Result<Vec<u8>> {
    let read = |buffer: &mut [u8]| sys::pread(file.borrow(), buffer, 0).map_err(|e| e.about(STATE.to_bytes()));
    // Most are short, and the room for a long one takes longer to clear than to read.
    let mut short = [0; 1024];
    let len = read(&mut short)?;
    if let Some(state) = short.get(..len).filter(|_| len < short.len()) {
        return Ok(state.to_vec());
    }
    let mut long = alloc::vec![0; STATE_LEN];
    let len = read(&mut long)?;
    long.truncate(len);
    Ok(long)
}

/// Whether this freezer has stopped what is in it, or is about to.
pub fn has_stopped((dir, file, [goes_on, _]): &Freezer) -> bool {
    dir.read_plain(file, &mut [0; 16]).is_ok_and(|value| value.trim_ascii() != *goes_on)
}

/// Where below its group on v2 the first process of the container `name` is.
fn inner_group(pid: Pid, name: &CStr) -> Result<Option<&'static [u8]>> {
    let file = sys::read_file(bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/cgroup"]))?.leak();
    let name = [b"/mydocker-", name.to_bytes()].concat();
    Ok(bytes::split(file, b'\n').find_map(|line| {
        let own = line.strip_prefix(b"0::")?;
        let at = bytes::position(own, &name)?;
        own.get(at + name.len()..).filter(|rest| rest.starts_with(b"/"))
    }))
}
