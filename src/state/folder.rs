//! The folder of all records: where it is, and how a record is made in it, removed, and swept.

use super::record::{Record, open_ours};
use super::stat::{own_start, pid_namespace};
use super::{BLANK, CONFIG, CONFIG_END, FILES, KEEPER, OURS, STATUS, put_line};
use crate::bytes::{self, Put};
use crate::environment;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Held, Parent, ParentStep, Slot};
use crate::sys::{self, Dir, Lock, OpenFlags, record};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Where records may be: the folder that the user names, `--state` or MYDOCKER_STATE, or else that of the system or in
/// XDG_RUNTIME_DIR, or else one in /tmp.
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

const OTHER_FOLDER: &str = "it cannot be the folder of records: --state DIR names another";

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
                return Err(e.with_hint(OTHER_FOLDER));
            }
            Err(e) if create || is_only && !e.is(Errno::ENOENT) => {
                found = Err(e.with_hint(match is_only {
                    true => OTHER_FOLDER,
                    false => "no folder for records, neither here nor in /run: mkdir /run (or mount -t tmpfs tmpfs /run), or --state DIR names one",
                }))
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
        /// The directory that mydocker was started in, if that can be told.
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
        let mut config = bytes::to_decimal(self.spec.words.len() as u64);
        config.put(b"\0");
        config.put(self.directory.as_deref().unwrap_or_default());
        config.put(b"\0");
        for word in &self.spec.words {
            config.put(word.as_bytes());
            config.put(b"\0");
        }
        for variable in self.environment {
            config.put(variable.to_bytes_with_nul());
        }
        config.put(CONFIG_END);
        let kept = dir.replace_file(CONFIG, &config);
        parent.record = Some((folder, name, dir));
        kept
    }
}

/// Makes the record of a container.
pub fn make(spec: &Spec, uid: u32, environment: &[&'static CStr]) -> Result<Option<Held>> {
    let Some(folder) = folder(spec.state, uid, environment, true)? else { return Ok(None) };
    let pid = sys::getpid();
    let keeper = [pid.0 as u64, own_start(pid)?, pid_namespace()?];
    if keeper[1] == 0 && !record::is_on() {
        let hint = "mount -t proc proc /proc, in this PID namespace: by what it says of a process, others know who keeps the record";
        return Err(Error::refused("no record can be kept without", b"/proc", hint));
    }
    let name = bytes::c_string(&[spec.name.unwrap_or_default().as_bytes()]);
    let dir = create(&folder, name, keeper)?;
    Ok(Some((folder, name, dir)))
}

/// Makes the folder of a record, and locks it. `keeper`: see [`KEEPER`](super::KEEPER).
fn create(folder: &Dir, name: &'static CStr, keeper: [u64; 3]) -> Result<Dir> {
    for turn in 0..100 {
        match folder.mkdirat(name, OURS) {
            Ok(()) => {
                if let Some(dir) = begin(folder, name, keeper)? {
                    return Ok(dir);
                }
            }
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
            Err(e) => return Err(e.with_hint(OTHER_FOLDER)),
        }
    }
    Err(Error::refused("the record", name.to_bytes(), "another process removes it as soon as it is made"))
}

/// Locks a folder that has just been made, and makes room for the status. `None`: another process took it for a leftover, and may have
/// made its own there.
fn begin(folder: &Dir, name: &CStr, keeper: [u64; 3]) -> Result<Option<Dir>> {
    // What is not locked may be another's by now: of that, nothing is removed but a folder that is empty.
    let dir = match Dir::open(Some(folder), name) {
        Err(e) if e.is(Errno::ENOENT) => return Ok(None),
        Err(e) => return Err(remove_empty(folder, name, e)),
        Ok(dir) => dir,
    };
    // Others hold it for a moment only, to see whether it is locked; or it is the folder of one that runs.
    match lock_in_turns(&dir) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(e) => return Err(remove_empty(folder, name, e)),
    }
    let made = dir.create_file(STATUS, OpenFlags::WRONLY | OpenFlags::EXCL);
    match made {
        Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::EEXIST]) => return Ok(None),
        _ => {}
    }
    let written = made.and_then(|file| {
        sys::write_all(file.borrow(), &blank_status(keeper)).map_err(|e| {
            let hint = "no room for a record: mydocker rm removes others, --state DIR is another folder";
            e.about(&sys::path_below(Some(&dir), STATUS)).hint_for(&[(Errno::ENOSPC, hint), (Errno::EDQUOT, hint)])
        })
    });
    match written {
        Ok(()) => Ok(Some(dir)),
        Err(e) => remove(folder, name, &dir).and(Err(e)),
    }
}

/// The first failure is the one to report.
fn remove_empty(folder: &Dir, name: &CStr, error: Error) -> Error {
    match folder.rmdir(name) {
        Ok(()) | Err(_) => error,
    }
}

/// How often to try to lock a folder, with a pause of a millisecond.
const LOCK_TURNS: u32 = 50;

fn lock_in_turns(dir: &Dir) -> Result<bool> {
    for _ in 0..LOCK_TURNS {
        if sys::flock(dir)? {
            return Ok(true);
        }
        sys::nanosleep(1_000_000)?;
    }
    Ok(false)
}

/// Removes a record. That another process does so, too, is no failure.
pub fn remove(folder: &Dir, name: &CStr, dir: &Dir) -> Result<()> {
    let mut result = Ok(());
    for file in &FILES {
        result = result.and(dir.unlink(file));
    }
    match folder.rmdir(name) {
        Err(e) if e.is(Errno::ENOENT) => result,
        // Another process has removed it, and a container of this name has begun since.
        Err(e) if e.is(Errno::ENOTEMPTY) && !is_at(folder, name, dir)? => result,
        // What stays is to be a record, with a name that rm takes once more.
        Err(e) => {
            let put_back = dir.create_file(STATUS, OpenFlags::WRONLY).map(drop);
            result.and(Err::<(), _>(e)).and(put_back)
        }
        Ok(()) => result,
    }
}

/// Whether the folder has this name.
fn is_at(folder: &Dir, name: &CStr, dir: &Dir) -> Result<bool> {
    let there = match Dir::open(Some(folder), name) {
        Err(e) if e.is(Errno::ENOENT) => return Ok(false),
        there => there?,
    };
    let status = |dir: &Dir| sys::statx_fd(dir.fd()).map_err(|e| e.about(dir.path));
    let (there, own) = (status(&there)?, status(dir)?);
    Ok(there.identity() == own.identity())
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

/// What the file of the status says from the start: no status, and this process, which keeps the record.
fn blank_status(keeper: [u64; 3]) -> Vec<u8> {
    let mut status = BLANK.to_vec();
    status.put(b"\n");
    for (key, value) in KEEPER.into_iter().zip(keeper) {
        put_line(&mut status, key, value);
    }
    status
}
