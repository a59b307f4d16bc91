//! The record of a container that has a name: a folder with its files, locked by the mydocker that keeps it. Alive is whose
//! folder is locked; a pid in it counts only together with the time at which that process has started.
//!
//! | file | what is in it |
//! |---|---|
//! | `status` | how it has ended; blanks until then. It has its room from the start, so a full disk loses no status |
//! | `config` | the options that `exec` needs, and the environment of the command |
//! | `state` | who it is, from execve on: lines of a key and a value, the last one `end` |
//! | `log`, `log.old` | what the command has written, with `-d`: see [`log`](crate::log) |
//! | `stdin` | with `-d -i`: a FIFO |

use crate::bytes::{self, FixedBytes, Put};
use crate::cgroup::directory::{FREEZER_STATE, THAWED};
use crate::cgroup::{Group, Version};
use crate::environment;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::spec::Spec;
use crate::step::{Parent, ParentStep, Slot};
use crate::sys::{self, Dir, Fd, Lock, NEW, OpenFlags, Pid, record};
use alloc::vec::Vec;
use core::ffi::CStr;

const STATUS: &CStr = c"status";
const CONFIG: &CStr = c"config";
const STATE: &CStr = c"state";

/// Every file that a record may have.
const FILES: [&CStr; 7] = [STATUS, CONFIG, STATE, NEW, c"log", c"log.old", c"stdin"];

/// The first line of a state file.
const VERSION: &[u8] = b"mydocker 1\n";

/// What is said of a record that is not one.
pub const DAMAGED: &str = "its record is cut short, or of another version:";

/// What is no plain file fails with one of these: a link, a socket, a directory, a FIFO, which has no offsets, and what O_PATH opens.
const ODD: &[Errno] = &[Errno::ELOOP, Errno::ENXIO, Errno::EISDIR, Errno::ESPIPE, Errno::EBADF];

/// How long a state file may be: as its paths and its ports may be.
const STATE_LEN: usize = 6 * libc::PATH_MAX as usize;

/// The mode of a record's folder: the sticky bit, which means nothing in a folder of one user, tells it from the folders of others.
const OURS: u32 = 0o1700;

/// How long a status is. The last byte says whether it is started again.
const STATUS_LEN: usize = 32;

/// What that byte is then.
const RESTARTING: &[u8] = b"R";

/// There is no status.
const BLANK: [u8; STATUS_LEN] = [b' '; STATUS_LEN];

/// A record that is held: the folder of all records, its name, and its own folder, locked.
pub type Held = (Dir, &'static CStr, Dir);

/// Where records may be: the folder that the user names, or else that of the system, or else one in /tmp.
fn folders(named: Option<&'static CStr>, uid: u32, environment: &[&'static CStr]) -> Vec<&'static CStr> {
    if let Some(path) = named {
        return alloc::vec![path];
    }
    let path = |start: &[u8], end: &[u8]| bytes::c_string(&[start, end]);
    if let Some(folder) = environment::get(environment, b"MYDOCKER_STATE").filter(|folder| !folder.is_empty()) {
        return alloc::vec![path(folder, b"")];
    }
    let mut folders = Vec::new();
    if uid == 0 {
        folders.push(c"/run/mydocker");
    } else if let Some(folder) = environment::get(environment, b"XDG_RUNTIME_DIR").filter(|path| path.starts_with(b"/"))
    {
        folders.push(path(folder, b"/mydocker"));
    }
    folders.push(path(b"/tmp/mydocker-", &bytes::to_decimal(uid.into())));
    folders
}

/// The folder of all records of this user. If it does not exist, `create` makes it; without `create` the result is `None`.
pub fn folder(
    named: Option<&'static CStr>,
    uid: u32,
    environment: &[&'static CStr],
    create: bool,
) -> Result<Option<Dir>> {
    let mut found = Ok(None);
    let paths = folders(named, uid, environment);
    let is_only = paths.len() == 1;
    for path in paths {
        let made = match create.then(|| sys::mkdir(None, path, 0o700)) {
            Some(Err(e)) if !e.is(Errno::EEXIST) => Err(e),
            _ => Ok(()),
        };
        match made.and_then(|()| Dir::open_itself(path)) {
            Ok(dir) => return check(&dir, path, uid).map(|()| Some(dir)),
            Err(e) if !e.is_one_of(&[Errno::ENOENT, Errno::EROFS, Errno::EACCES, Errno::ENOTDIR]) => {
                return Err(e.with_hint("no record can be kept there: name another folder with --state DIR"));
            }
            Err(e) if create || is_only && !e.is(Errno::ENOENT) => {
                found = Err(e.with_hint("no record can be kept: mkdir /run, or name a folder with --state DIR"))
            }
            Err(_) => {}
        }
    }
    found
}

/// Whether nobody else can write to the folder.
fn check(dir: &Dir, path: &CStr, uid: u32) -> Result<()> {
    let status = sys::statx_fd(dir.fd()).map_err(|e| e.about(path.to_bytes()))?;
    let (what, hint) = if record::is_on() {
        return Ok(());
    } else if status.uid != uid {
        ("the folder of the records belongs to somebody else:", "name another with --state DIR")
    } else if status.mode & 0o022 != 0 {
        ("others may write to the folder of the records:", "chmod 700, or name another with --state DIR")
    } else {
        return Ok(());
    };
    Err(Error::refused(what, path.to_bytes(), hint))
}

/// A name that nobody has yet: three syllables.
pub fn make_up_name(folder: &Dir) -> Result<&'static str> {
    let mut seed = sys::realtime().wrapping_mul(1_000_003) ^ sys::getpid().0 as u64;
    loop {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut rest = (seed >> 32) as usize;
        let mut name = Vec::new();
        for place in 0..6 {
            let letters: &[u8] = if place % 2 == 0 { b"bdfghklmnprstvz" } else { b"aeiou" };
            name.extend(letters.get(rest % letters.len()));
            rest /= letters.len();
        }
        if !folder.has(bytes::c_string(&[&name]))? {
            return Ok(str::from_utf8(name.leak()).unwrap_or_default());
        }
    }
}

step! {
    /// Makes its record, which is locked as long as it runs.
    pub struct MakeRecord {
        /// The container.
        pub spec: &'static Spec,
        /// The host.
        pub host: &'static Host,
        /// The environment of the command.
        pub environment: &'static [&'static CStr],
        /// The directory that mydocker was started in, where that is the command's.
        pub directory: Option<Vec<u8>>,
        /// The record, if the keeper has made it.
        pub kept: &'static Slot<Held>,
    }
}

impl ParentStep for MakeRecord {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let made = match self.kept.take() {
            None => make(self.spec, self.host.ids.0, self.host.environment)?,
            kept => kept,
        };
        let Some((folder, name, dir)) = made else { return Ok(()) };
        let count = self.spec.words.len() + 2 * usize::from(self.directory.is_some());
        let mut config = bytes::to_decimal(count as u64);
        config.put(b"\0");
        if let Some(directory) = &self.directory {
            config.put(b"--workdir\0");
            config.put(directory);
            config.put(b"\0");
        }
        for word in &self.spec.words {
            config.put(word.as_bytes());
            config.put(b"\0");
        }
        for variable in self.environment {
            config.put(variable.to_bytes_with_nul());
        }
        let kept = dir.replace_file(CONFIG, &config);
        parent.record = Some((folder, name, dir));
        kept
    }
}

/// Makes the record of a container.
pub fn make(spec: &Spec, uid: u32, environment: &[&'static CStr]) -> Result<Option<Held>> {
    let Some(folder) = folder(spec.state, uid, environment, true)? else { return Ok(None) };
    let name = bytes::c_string(&[spec.name.unwrap_or_default().as_bytes()]);
    let dir = create(&folder, name)?;
    Ok(Some((folder, name, dir)))
}

/// Makes the folder of a record, and locks it.
fn create(folder: &Dir, name: &'static CStr) -> Result<Dir> {
    for turn in 0..100 {
        match folder.mkdirat(name, OURS) {
            Ok(()) => match begin(folder, name) {
                // Another process took it for a leftover.
                Err(e) if e.is(Errno::ENOENT) => {}
                Err(e) => return remove_any(folder, name).and(Err(e)),
                begun => return begun,
            },
            Err(e) if e.is(Errno::EEXIST) => match Record::open(folder, name)? {
                Some(record) if record.alive => {
                    let hint = "choose another --name";
                    return Err(Error::refused("a container of this name is already running:", name.to_bytes(), hint));
                }
                Some(record) if record.is_detached() => {
                    let hint = "mydocker rm removes its record";
                    return Err(Error::refused("a container of this name has run:", name.to_bytes(), hint));
                }
                // A mydocker in the foreground that was killed has left it.
                Some(record) => remove(folder, name, &record.dir)?,
                None if turn < 50 => sys::nanosleep(1_000_000)?,
                // Whoever made it was killed at once, or is slow, and makes it again.
                None => match open_ours(folder, name)? {
                    Some(dir) => remove(folder, name, &dir)?,
                    None if folder.has(name)? => {
                        return Err(Error::refused("this is not a record:", name.to_bytes(), "choose another --name"));
                    }
                    None => {}
                },
            },
            Err(e) => return Err(e.with_hint("no record can be kept: name another folder with --state DIR")),
        }
    }
    Err(Error::refused("the record", name.to_bytes(), "another process removes it as soon as it is made"))
}

/// Locks a folder that has just been made, and makes room for the status.
fn begin(folder: &Dir, name: &CStr) -> Result<Dir> {
    let dir = Dir::open(Some(folder), name)?;
    // Others hold it for a moment only, to see whether it is locked.
    sys::lock_soon(&dir)?;
    let file = dir.create_file(STATUS, OpenFlags::WRONLY | OpenFlags::EXCL)?;
    sys::write_all(file.borrow(), &BLANK).map_err(|e| e.about(b"status"))?;
    Ok(dir)
}

/// Removes whatever this process has made of a record.
fn remove_any(folder: &Dir, name: &CStr) -> Result<()> {
    match Dir::open(Some(folder), name) {
        Err(e) if e.is(Errno::ENOENT) => Ok(()),
        dir => remove(folder, name, &dir?),
    }
}

/// Removes a record. That another process does so, too, is no failure.
pub fn remove(folder: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    let mut result = Ok(());
    for file in &FILES {
        result = result.and(dir.unlink(file));
    }
    match folder.rmdir(name) {
        Err(e) if e.is(Errno::ENOENT) => result,
        // What stays is to be a record, with a name that rm takes once more.
        Err(e) => {
            let put_back = dir.create_file(STATUS, OpenFlags::WRONLY).map(drop);
            result.and(Err::<(), _>(e)).and(put_back)
        }
        Ok(()) => result,
    }
}

/// How many records one run looks at.
const SWEEP_AT_MOST: usize = 8;

/// Removes records that killed runs in the foreground have left, now that the command runs. `turn` differs from run to run.
pub fn sweep(parent: &Parent, turn: usize) {
    let Some((folder, ..)) = &parent.record else { return };
    // Of a large folder one run in eight reads all names: the others are not to take longer the more there are.
    let all = turn as u32 >> 29 == 0;
    // Its position may be at the end.
    let names =
        Dir::open(Some(folder), c".").and_then(|folder| sys::first_directory_names(&folder, all)).unwrap_or_default();
    for at in 0..names.len().min(SWEEP_AT_MOST) {
        if let Some(name) = names.get(turn.wrapping_add(at) % names.len()) {
            // Whoever fails here leaves it to the next one.
            let _ = sweep_one(folder, name);
        }
    }
}

/// Removes the folder `name`, if it is what a killed run in the foreground has left.
fn sweep_one(folder: &Dir, name: &CStr) -> Result<()> {
    // Nearly every one has somebody who keeps it: no more is read of such a record.
    match open_ours(folder, name)? {
        Some(dir) if sys::lock(&dir, Lock::SH | Lock::NB)? => match Record::open(folder, name)? {
            Some(record) if record.alive || record.is_detached() => Ok(()),
            Some(record) => remove(folder, name, &record.dir),
            // It was killed when it had just made the folder, or when it removed it. One that is about to lock it makes it again.
            None => remove(folder, name, &dir),
        },
        _ => Ok(()),
    }
}

step! {
    /// Notes in its record which process it is.
    ///
    /// Once the command is executed, the new file becomes its state.
    pub struct NoteProcess {
        /// What does not depend on the process.
        pub about: Vec<u8>,
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
                Version::V1 if group.has_freezer() => b"group f ",
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
        if !parent.ports.is_empty() {
            state.put(b"ports ");
            state.put(&parent.ports);
            state.put(b"\n");
        }
        put_line(&mut state, b"pid", pid.0 as u64);
        put_line(&mut state, b"start", start_of(pid));
        state.put(b"end\n");
        dir.write_new(&state)
    }
}

fn put_line(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.put(key);
    out.put(b" ");
    // As long in a dry run, which does not know the pid.
    out.put_column(&bytes::to_decimal(value), 10);
    out.put(b"\n");
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
        put_line(&mut about, b"keeper", keeper.0 as u64);
        put_line(&mut about, b"keeper-start", start_of(keeper));
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
    if spec.restart.is_some() { write_status(dir, &BLANK) } else { Ok(()) }
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

/// Notes how it has ended.
pub fn note_status(dir: &Dir, status: i32, out_of_memory: bool) -> Result<()> {
    let mut line = FixedBytes::<200>::new();
    line.put_decimal(status as u64);
    line.put(b" ");
    line.put_decimal(sys::realtime() / 1000);
    line.put(if out_of_memory { b" oom" } else { b"     " });
    write_status(dir, line.as_bytes())
}

/// Notes beside the status that it will be started again.
pub fn note_pause(dir: &Dir) -> Result<()> {
    let file = dir.open_plain(STATUS, OpenFlags::WRONLY)?;
    sys::pwrite_all(file.borrow(), RESTARTING, STATUS_LEN as u64 - 1);
    Ok(())
}

/// Notes that the container has ended. `executed`: its command had begun. Only the record of a detached container is kept.
pub fn note_end(plan: &Plan, parent: &Parent, status: i32, executed: bool, out_of_memory: bool) -> Result<()> {
    let Some((folder, name, dir)) = &parent.record else { return Ok(()) };
    // One that cannot be started again was there before.
    let is_kept = executed || plan.spec.restart.is_some() && has_run(dir)?;
    if !is_kept {
        return remove(folder, name, dir);
    }
    let noted = note_status(dir, status, out_of_memory);
    if plan.spec.detach && !plan.spec.remove { noted } else { noted.and(remove(folder, name, dir)) }
}

/// How a container has ended.
#[derive(Clone, Copy)]
pub struct End {
    /// The exit status.
    pub status: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// The kernel has killed for lack of memory.
    pub out_of_memory: bool,
}

/// A process, its pid, and that of its parent.
pub type Process = (Fd, Pid, Pid);

/// What stops a container: a directory, or its path; a file in it, and what that says of one that goes on, and of one that is stopped.
pub type Freezer<Directory = Dir> = (Directory, &'static CStr, [&'static [u8]; 2]);

/// A record, as it was read.
pub struct Record {
    /// Its folder.
    pub dir: Dir,
    /// The file of its status; it can be read even when it is removed.
    status: Fd,
    /// What that file says; `None`: it is no plain file.
    line: Option<[u8; STATUS_LEN]>,
    /// Somebody keeps it.
    pub alive: bool,
    /// Its state file; empty while it starts.
    pub state: Vec<u8>,
}

/// The folder `name`, if a mydocker has made it: the user may keep records in a folder that has others.
fn open_ours(folder: &Dir, name: &CStr) -> Result<Option<Dir>> {
    match Dir::open(Some(folder), name) {
        Err(e) if e.is(Errno::ENOENT) => Ok(None),
        dir => {
            let dir = dir?;
            let mode = sys::statx_fd(dir.fd()).map_err(|e| e.about(dir.path()))?.mode;
            Ok((record::is_on() || mode & OURS == OURS).then_some(dir))
        }
    }
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
        let line = read_status(&status)?;
        let state = match dir.open_plain(STATE, OpenFlags::NONE).and_then(|file| read_state(&file)) {
            Err(e) if missing(e) => Vec::new(),
            // One byte is no state that can be read.
            Err(e) if e.is_one_of(ODD) => alloc::vec![0],
            state => state?,
        };
        Ok(Some(Record { dir, status, line, alive, state }))
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
        bytes::decimal(self.field(key)).unwrap_or(0)
    }

    fn is_detached(&self) -> bool {
        self.number(b"detached") == 1 || !self.is_readable()
    }

    /// How it has ended. `None`: it has not, or its keeper was killed. One that is alive is being started again.
    pub fn end(&self) -> Option<End> {
        let line = self.line.as_ref()?;
        let mut words = bytes::words(line);
        let mut number = || bytes::decimal(words.next()?).ok();
        let (status, at) = (number()?, number()?);
        let is_restarting = line.ends_with(RESTARTING);
        let out_of_memory = words.next() == Some(b"oom");
        Some(End { status, at, out_of_memory }).filter(|_| !self.alive || is_restarting)
    }

    /// Its process, and the pid of the keeper, if it runs.
    pub fn process(&self) -> Result<Option<Process>> {
        self.process_in(b"pid", b"start")
    }

    /// The keeper that starts it again, if it has one.
    pub fn restarter(&self) -> Result<Option<Process>> {
        self.process_in(b"keeper", b"keeper-start")
    }

    fn process_in(&self, pid: &[u8], since: &[u8]) -> Result<Option<Process>> {
        let Some(pid) = self.noted_pid(pid) else { return Ok(None) };
        // First the descriptor, then the question whose it is: it does not change its owner.
        let Some(process) = sys::pidfd_if_alive(pid)? else { return Ok(None) };
        Ok(self.stat_if_its(pid, since)?.map(|stat| (process, pid, stat.parent)))
    }

    /// The pid of its process, if it runs, for a list: without a descriptor it may be another's at any time after this.
    pub fn pid(&self) -> Result<Option<Pid>> {
        let Some(pid) = self.noted_pid(b"pid") else { return Ok(None) };
        Ok(self.stat_if_its(pid, b"start")?.map(|_| pid))
    }

    fn noted_pid(&self, key: &[u8]) -> Option<Pid> {
        Some(Pid(self.number(key) as i32)).filter(|pid| self.alive && pid.0 != 0)
    }

    /// What the kernel says of the process `pid`, if that has started when the line `since` says, and has not ended.
    fn stat_if_its(&self, pid: Pid, since: &[u8]) -> Result<Option<Stat>> {
        Ok(stat(pid)?.filter(|stat| stat.start == self.number(since) && !stat.is_zombie))
    }

    /// Notes, as long as this record is open, that this process has a child in the container.
    pub fn enter(&self) -> Result<()> {
        sys::lock_file(&self.status, Lock::SH | Lock::NB).map(drop).map_err(|e| e.about(STATUS.to_bytes()))
    }

    /// Lets those go on that have a child in the container and are stopped: a PID namespace ends only when each of its processes has
    /// been waited for (pid_namespaces(7)). proc_locks(5) says who they are.
    pub fn continue_entered(&self) -> Result<()> {
        let status = sys::statx_fd(self.status.borrow()).map_err(|e| e.about(b"status"))?;
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

    /// What `exec` needs: the options, as names and values, and the environment of the command.
    pub fn config(&self) -> Result<(Vec<&'static str>, Vec<&'static CStr>)> {
        let mut config = Vec::new();
        let file = self.dir.open_plain(CONFIG, OpenFlags::NONE)?;
        sys::read_to_end(file.borrow(), &mut config).map_err(|e| e.about(CONFIG.to_bytes()))?;
        let mut rest: &'static [u8] = config.leak();
        let mut next = || {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(string.count_bytes() + 1..).unwrap_or_default();
            Some(string)
        };
        let Some(Ok(count)) = next().map(|count| bytes::decimal(count.to_bytes())) else {
            return Err(Error::refused(DAMAGED, self.dir.path(), ""));
        };
        let (mut words, mut environment) = (Vec::new(), Vec::new());
        for at in 0.. {
            let Some(string) = next() else { break };
            if at < count { words.extend(string.to_str()) } else { environment.push(string) }
        }
        Ok((words, environment))
    }

    /// Its groups: `2` for v2, `f` for the freezer of v1, `1` for the rest of it; and their paths.
    fn group_paths(&self) -> impl Iterator<Item = (u8, &[u8])> {
        bytes::split(&self.state, b'\n').filter_map(|line| {
            let path = line.strip_prefix(b"group ")?;
            Some((*path.first()?, path.get(2..)?))
        })
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
            read.is_ok_and(|n| bytes::trimmed(value.get(..n).unwrap_or_default()) != goes_on)
        })
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

    /// Waits until nobody keeps it.
    pub fn wait(&mut self) -> Result<()> {
        sys::lock(&self.dir, Lock::SH)?;
        (self.alive, self.line) = (false, read_status(&self.status)?);
        Ok(())
    }
}

/// What the file of a status says. `None`: nothing can be read from what is there.
fn read_status(file: &Fd) -> Result<Option<[u8; STATUS_LEN]>> {
    let mut line = BLANK;
    match sys::pread(file.borrow(), &mut line, 0) {
        Err(e) if e.is_one_of(ODD) => Ok(None),
        read => read.map(|_| Some(line)).map_err(|e| e.about(STATUS.to_bytes())),
    }
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
    dir.read_plain(file, &mut [0; 16]).is_ok_and(|value| bytes::trimmed(value) != *goes_on)
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

/// The oldest child of a process, if it has one: proc_pid_task_tid_children(5).
pub fn first_child(parent: Pid) -> Result<Option<Fd>> {
    let pid = bytes::to_decimal(parent.0 as u64);
    let mut buffer = [0; 64];
    let list = sys::read_up_to(None, bytes::c_string(&[b"/proc/", &pid, b"/task/", &pid, b"/children"]), &mut buffer)?;
    let Some(child) = bytes::words(list).next().and_then(|child| bytes::decimal(child).ok()) else { return Ok(None) };
    let child = Pid(child as i32);
    let process = sys::pidfd_if_alive(child)?;
    let stat = stat(child)?;
    Ok(process.filter(|_| stat.is_some_and(|stat| stat.parent == parent && !stat.is_zombie)))
}

/// What proc_pid_stat(5) says of a process.
struct Stat {
    parent: Pid,
    /// When it has started, in ticks.
    start: u64,
    /// It has ended, and nobody has asked how.
    is_zombie: bool,
    /// It is on its way out.
    is_exiting: bool,
}

/// PF_EXITING of the kernel's sched.h.
const EXITING: u64 = 0x4;

/// `None`: there is no such process.
fn stat(pid: Pid) -> Result<Option<Stat>> {
    let mut buffer = [0; 1024];
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), b"/stat"]);
    match sys::read_up_to(None, path, &mut buffer) {
        Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::ESRCH]) => Ok(None),
        file => file.map(stat_in),
    }
}

/// What such a file says.
fn stat_in(file: &[u8]) -> Option<Stat> {
    // The name of the program, in brackets, may hold blanks and brackets.
    let mut fields = bytes::words(file.get(file.iter().rposition(|byte| *byte == b')')? + 1..)?);
    let is_zombie = fields.next()? == b"Z";
    let mut number = |skipped| bytes::decimal(fields.nth(skipped)?).ok();
    let parent = Pid(number(0)? as i32);
    let is_exiting = number(4)? & EXITING != 0;
    Some(Stat { parent, start: number(12)?, is_zombie, is_exiting })
}

/// When a process has started; 0 if that cannot be read.
fn start_of(pid: Pid) -> u64 {
    stat(pid).ok().flatten().map_or(0, |stat| stat.start)
}

/// Whether a process is on its way out. The first process of a container waits there until all others have ended.
pub fn is_exiting(pid: Pid) -> Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| stat.is_exiting))
}
