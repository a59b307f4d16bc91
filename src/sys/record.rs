//! `--dry-run`: every call is noted and not attempt, and answered as if it had worked. Only calls that look at mydocker's own
//! memory, clock, ids and streams are attempt, or ask what is at a path of this host, because they change nothing.

use super::flags::{Ioctl, OpenFlags, OpenTreeFlags, ResolveFlags, SigSet};
use super::gate::{self, Argument, Attempt, Call, Show};
use crate::bytes::{Put, c_string, decimal, to_decimal};
use ::alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use syscalls::Sysno;

/// Stands for the pid of the child, which only a real run knows.
const UNKNOWN_PID: usize = 1_073_741_823;
/// Stands for the number of its loop device.
const UNKNOWN_LOOP: usize = 1_073_741_822;
/// How the two are printed.
const UNKNOWN: [(&[u8], &[u8]); 2] = [(b"1073741823", b"PID"), (b"1073741822", b"N")];

/// A call that a run would make.
pub struct Recorded {
    /// The call.
    pub call: &'static Call,
    /// What it was answered.
    pub answer: usize,
    registers: [usize; 6],
    arguments: [Noted; 6],
}

/// An argument of a call.
#[derive(Clone, Copy)]
struct Noted {
    /// In memory that stays.
    value: Argument<'static>,
    /// Its bytes, if it has any.
    bytes: &'static [u8],
    /// What it refers to, if it is a descriptor, or holds one: a path.
    file: &'static [u8],
}

/// A descriptor that the recorded run has opened or closed.
#[derive(Clone, Copy)]
struct Descriptor {
    number: usize,
    /// What it refers to; nothing, once it is closed.
    path: Option<&'static [u8]>,
    /// Which pipe it is an end of, if it is one.
    pipe: Option<usize>,
}

#[derive(Default)]
struct Recorder {
    calls: Vec<Recorded>,
    descriptors: Vec<Descriptor>,
    /// Those of the parent when the child was made: it has a copy.
    at_clone: Vec<Descriptor>,
    /// What is in each pipe.
    pipes: Vec<Vec<u8>>,
    /// What has been written to each control file.
    values: Vec<(&'static [u8], &'static [u8])>,
    /// The working directory, if it is not that of mydocker.
    directory: Option<&'static CStr>,
    /// The calls are those of the child.
    in_child: bool,
    /// Where calls go afterwards.
    before: Option<gate::Before>,
}

struct Cell(UnsafeCell<Option<Recorder>>);

// SAFETY: mydocker has one thread
unsafe impl Sync for Cell {}

static RECORDER: Cell = Cell(UnsafeCell::new(None));

fn recorder() -> Option<&'static mut Recorder> {
    // SAFETY: one thread, and no caller in this file keeps the reference past its own return
    unsafe { (*RECORDER.0.get()).as_mut() }
}

/// From here on no call is attempt.
pub fn begin() {
    // SAFETY: mydocker has one thread, and `recorder` lends the cell only within this file, to no caller of this function
    unsafe { *RECORDER.0.get() = Some(Recorder::default()) };
    let before = gate::observe(note_and_answer);
    if let Some(recorder) = recorder() {
        recorder.before = Some(before);
    }
}

/// From here on calls are made again, and shown if they were before.
pub fn end() {
    if let Some(before) = recorder().and_then(|recorder| recorder.before.take()) {
        gate::observe_as_before(before);
    }
    // SAFETY: mydocker has one thread, and `recorder` lends the cell only within this file, to no caller of this function
    unsafe { *RECORDER.0.get() = None };
}

/// Whether calls are recorded.
pub fn is_on() -> bool {
    // SAFETY: as in `recorder`
    unsafe { (*RECORDER.0.get()).is_some() }
}

/// Makes the calls of `look` even now, and notes none of them: they change nothing, and are not part of the run.
pub fn make<T>(look: impl FnOnce() -> T) -> T {
    if !is_on() {
        return look();
    }
    gate::observe_no_more();
    let result = look();
    gate::observe(note_and_answer);
    result
}

/// The calls that follow are those of the child.
pub fn set_in_child() {
    if let Some(recorder) = recorder() {
        recorder.in_child = true;
        recorder.descriptors = core::mem::take(&mut recorder.at_clone);
    }
}

/// The calls that have been recorded since the last time.
pub fn take() -> Vec<Recorded> {
    recorder().map_or(Vec::new(), |recorder| core::mem::take(&mut recorder.calls))
}

/// The observer.
fn note_and_answer(attempt: Attempt) -> usize {
    // The heap grows while calls are noted: its mappings are not part of the run.
    let is_of_heap = attempt.register(3) & (libc::MAP_STACK | libc::MAP_SHARED) as usize == 0;
    if attempt.call.number == Sysno::mmap && is_of_heap {
        return attempt.make();
    }
    let Some(recorder) = recorder() else { return attempt.make() };
    if matches!(attempt.call.number, Sysno::clock_gettime | Sysno::getrusage | Sysno::exit_group) {
        return attempt.make();
    }
    let registers = core::array::from_fn(|at| attempt.register(at));
    let none = Noted { value: Argument::Number(0), bytes: b"", file: b"" };
    let mut recorded = Recorded { call: attempt.call, answer: 0, registers, arguments: [none; 6] };
    for (at, (noted, show)) in recorded.arguments.iter_mut().zip(attempt.call.arguments).enumerate() {
        noted.value = keep(attempt.argument(at, None));
        let descriptor = match (show, noted.value) {
            (Show::Descriptor, Argument::Number(number)) => Some(number),
            (_, Argument::Bytes(bytes)) => {
                noted.bytes = bytes;
                fd_within(&attempt, bytes)
            }
            _ => None,
        };
        if let Some(number) = descriptor {
            noted.file = recorder.path_of(number);
        }
    }
    let answer = recorder.answer(&attempt, &recorded);
    recorded.answer = answer;
    recorder.calls.push(recorded);
    answer
}

/// A copy that lives as long as the process: the original may be on the caller's stack.
fn keep(argument: Argument) -> Argument<'static> {
    match argument {
        Argument::Number(number) => Argument::Number(number),
        Argument::Bytes(bytes) => Argument::Bytes(bytes.to_vec().leak()),
        Argument::Strings(strings) => {
            let mut list = Vec::new();
            for string in strings.iter() {
                list.push(c_string(&[string.to_bytes()]).as_ptr());
            }
            list.push(core::ptr::null());
            // SAFETY: a list of pointers to strings that stay, with a null pointer at its end
            Argument::Strings(unsafe { &*list.leak().as_ptr().cast::<gate::Strings>() })
        }
    }
}

impl Recorder {
    /// What the descriptor `number` refers to. One that was open before is looked up in /proc.
    fn path_of(&mut self, number: usize) -> &'static [u8] {
        if number as i32 == libc::AT_FDCWD {
            return b"";
        }
        if let Some(Descriptor { path: Some(path), .. }) = self.find(number) {
            return path;
        }
        let name = c_string(&[b"/proc/self/fd/", &to_decimal(number as u64)]);
        let mut path = ::alloc::vec![0u8; libc::PATH_MAX as usize];
        let (name, buffer) = (name.as_ptr() as usize, path.as_mut_ptr() as usize);
        // SAFETY: readlinkat(2) reads a string with a NUL and fills as much of the buffer as its length says
        let len = unsafe { syscalls::syscall4(Sysno::readlinkat, libc::AT_FDCWD as usize, name, buffer, path.len()) };
        path.truncate(len.unwrap_or(0));
        path.leak()
    }

    fn find(&self, number: usize) -> Option<&Descriptor> {
        self.descriptors.iter().find(|descriptor| descriptor.number == number)
    }

    fn set(&mut self, new: Descriptor) {
        match self.descriptors.iter_mut().find(|descriptor| descriptor.number == new.number) {
            Some(descriptor) => *descriptor = new,
            None => self.descriptors.push(new),
        }
    }

    fn open(&mut self, path: &'static [u8]) -> usize {
        self.open_end(path, None)
    }

    /// Opens something that may be the end of a pipe.
    fn open_end(&mut self, path: &'static [u8], pipe: Option<usize>) -> usize {
        // The lowest number that is free, as the kernel gives it: one that the recorded run has not opened, or has closed.
        let mut number = 3;
        while self.find(number).map_or_else(|| super::fd::is_open(number), |descriptor| descriptor.path.is_some()) {
            number += 1;
        }
        self.set(Descriptor { number, path: Some(path), pipe });
        number
    }

    /// The content of the pipe that the first argument of a call is an end of.
    fn pipe_of(&mut self, attempt: &Attempt) -> Option<&mut Vec<u8>> {
        let pipe = self.find(attempt.register(0))?.pipe?;
        self.pipes.get_mut(pipe)
    }

    /// Whether a descriptor has been opened to read what is in a file of the container, and not only as a place.
    fn is_open_for_reading(&self, number: usize) -> bool {
        let opens = [Sysno::openat, Sysno::openat2, Sysno::open_tree];
        let opened = |call: &&Recorded| call.answer == number && opens.contains(&call.call.number);
        self.calls.iter().rfind(opened).is_some_and(|call| {
            let flags = call.bytes(2).first_chunk().map_or(0, |flags| u64::from_ne_bytes(*flags));
            call.call.number == Sysno::openat2 && !OpenFlags::from_bits(flags).has(OpenFlags::PATH)
        })
    }

    /// Makes a statx(2) of the working directory. It returns false if this host does not have that directory yet.
    fn is_directory_of_host(&self, attempt: &Attempt) -> bool {
        let path = self.directory.unwrap_or(c".").as_ptr() as usize;
        let (a, c, d, e) = (attempt.register(0), attempt.register(2), attempt.register(3), attempt.register(4));
        // SAFETY: the registers are those of a statx(2) on its way, with another string that a NUL ends
        if unsafe { syscalls::syscall5(Sysno::statx, a, path, c, d, e) }.is_err() {
            return false;
        }
        // SAFETY: the fifth argument is a struct statx, which the kernel has filled
        let status = unsafe { &mut *(e as *mut libc::statx) };
        // SAFETY: neither call takes anything
        let own = |call| unsafe { syscalls::syscall0(call) }.unwrap_or(0) as u32;
        let (uid, gid) = (own(Sysno::geteuid), own(Sysno::getegid));
        if uid != 0 {
            // In its user namespace its own ids are 0, and those that are not mapped there are the overflow ids.
            let inside = |id: u32, own: u32| if id == own { 0 } else { super::cred::OVERFLOW_ID };
            (status.stx_uid, status.stx_gid) = (inside(status.stx_uid, uid), inside(status.stx_gid, gid));
        }
        true
    }

    fn answer(&mut self, attempt: &Attempt, recorded: &Recorded) -> usize {
        match attempt.call.number {
            // Questions about mydocker itself: its memory, its process group, its user, and whether its streams are terminals or pipes.
            Sysno::mmap | Sysno::mprotect | Sysno::getpgid | Sysno::geteuid => attempt.make(),
            Sysno::ioctl if asks_a_stream(attempt) => attempt.make(),
            Sysno::fstatfs if attempt.register(0) < 3 => attempt.make(),
            Sysno::statx if recorded.bytes(1).starts_with(b"/proc/self/fd/") => attempt.make(),
            // The root that mydocker itself is in.
            Sysno::statx if recorded.bytes(1) == b"/" => attempt.make(),
            // A mount of a single file, attached nowhere.
            Sysno::open_tree if attempt.register(2) as u64 & OpenTreeFlags::RECURSIVE.bits() == 0 => self.open(b"//"),
            // A path of this host, of something that is mounted: perhaps of a single file.
            Sysno::openat2 if is_file_of_host(attempt) => (-libc::ENOTDIR) as usize,
            Sysno::openat | Sysno::openat2 | Sysno::open_tree => {
                let is_cwd = attempt.register(0) as i32 == libc::AT_FDCWD;
                let directory = self.directory.filter(|_| is_cwd).map_or(b"".as_slice(), CStr::to_bytes);
                let path = join(directory, recorded.path(0));
                let other = path.strip_prefix(b"/proc/self/fd/").and_then(|number| decimal(number).ok());
                let path = other.map_or(path, |number| self.path_of(number as usize));
                // The root of a process, as that sees it: proc_pid_root(5).
                let process = path.strip_prefix(b"/proc/").and_then(|rest| rest.strip_suffix(b"/root"));
                self.open(if process.is_some_and(|pid| decimal(pid).is_ok()) { b"/" } else { path })
            }
            Sysno::fcntl if attempt.register(1) as i32 == libc::F_DUPFD_CLOEXEC => self.open(recorded.file(0)),
            Sysno::fsopen => self.open(b"anon_inode:[fscontext]"),
            // The top of a mount that is attached nowhere yet.
            Sysno::fsmount => self.open(b"/"),
            Sysno::move_mount => {
                self.set(Descriptor { number: attempt.register(0), path: Some(recorded.file(2)), pipe: None });
                0
            }
            Sysno::socket => self.open(b"socket"),
            Sysno::pidfd_open => self.open(b"anon_inode:[pidfd]"),
            Sysno::signalfd4 => self.open(b"signals"),
            Sysno::pipe2 | Sysno::socketpair => {
                let is_pipe = attempt.call.number == Sysno::pipe2;
                let path: &[u8] = if is_pipe { b"pipe" } else { b"socket" };
                let pipe = Some(self.pipes.len());
                self.pipes.push(Vec::new());
                let ends = [self.open_end(path, pipe) as i32, self.open_end(path, pipe) as i32];
                // SAFETY: both calls write two descriptors through their last argument
                unsafe { *(attempt.register(if is_pipe { 0 } else { 3 }) as *mut [i32; 2]) = ends };
                0
            }
            Sysno::ioctl if attempt.register(1) == Ioctl::TIOCGPTPEER.bits() as usize => self.open(b"terminal"),
            Sysno::ioctl if attempt.register(1) == Ioctl::LOOP_CTL_GET_FREE.bits() as usize => UNKNOWN_LOOP,
            Sysno::close => {
                self.set(Descriptor { number: attempt.register(0), path: None, pipe: None });
                0
            }
            Sysno::write => {
                match self.pipe_of(attempt) {
                    Some(pipe) => pipe.put(recorded.bytes(1)),
                    None => self.values.push((recorded.file(0), recorded.bytes(1))),
                }
                attempt.register(2)
            }
            Sysno::read if let Some(content) = self.pipe_of(attempt) => {
                let len = fill(attempt, content);
                *content = content.split_off(len);
                len
            }
            // A control file that took a value gives it back, and what is in effect is what was asked for.
            Sysno::pread64 | Sysno::read => {
                let name = recorded.file(0).strip_suffix(b".effective").unwrap_or(recorded.file(0));
                let written = self.values.iter().rfind(|(path, _)| *path == name);
                written.map_or(0, |(_, value)| fill(attempt, value))
            }
            Sysno::recvmsg => {
                let fd = self.open(b"terminal");
                // SAFETY: the second argument is a struct msghdr whose control data has room for one descriptor
                unsafe { super::net::answer_rights(attempt.register(1), fd) };
                1
            }
            // Where the recorded run is in a directory of this host, that is what it asks about.
            Sysno::statx if recorded.bytes(1) == b"." && self.is_directory_of_host(attempt) => 0,
            Sysno::fchdir => {
                self.directory = Some(c_string(&[recorded.file(0)]));
                0
            }
            Sysno::chdir => {
                self.directory = Some(c_string(&[recorded.bytes(0)]));
                0
            }
            Sysno::statx => {
                let is_file = recorded.bytes(1).is_empty() && self.is_open_for_reading(attempt.register(0));
                let mode = if is_file { libc::S_IFREG | 0o644 } else { libc::S_IFDIR | 0o755 };
                // SAFETY: the fifth argument is a struct statx that the kernel would fill
                let status = unsafe { &mut *(attempt.register(4) as *mut libc::statx) };
                status.stx_mode = mode as u16;
                if recorded.file(0) == b"/dev/null" {
                    status.stx_mode = (libc::S_IFCHR | 0o666) as u16;
                    (status.stx_rdev_major, status.stx_rdev_minor) = (1, 3);
                }
                0
            }
            Sysno::fstatfs => {
                let is_proc = recorded.file(0).starts_with(b"/proc/");
                // SAFETY: the second argument is a struct statfs that the kernel would fill
                unsafe {
                    (*(attempt.register(1) as *mut libc::statfs)).f_type =
                        if is_proc { libc::PROC_SUPER_MAGIC as _ } else { 0 }
                };
                0
            }
            Sysno::statfs => {
                // SAFETY: the second argument is a struct statfs that the kernel would fill
                unsafe { (*(attempt.register(1) as *mut libc::statfs)).f_type = libc::CGROUP2_SUPER_MAGIC as _ };
                0
            }
            Sysno::rt_sigtimedwait => {
                // SAFETY: the first argument is a set of signals
                let set = unsafe { *(attempt.register(0) as *const SigSet) };
                set.into_iter().next().unwrap_or_default() as usize
            }
            // The child is recorded as the process that clone returns 0 to, which becomes the command; the parent as the one
            // that gets a pid.
            Sysno::clone if self.in_child => 0,
            Sysno::clone | Sysno::clone3 => {
                if self.at_clone.is_empty() {
                    self.at_clone = self.descriptors.clone();
                }
                UNKNOWN_PID
            }
            Sysno::wait4 => UNKNOWN_PID,
            Sysno::getpid if self.in_child => UNKNOWN_PID,
            Sysno::getpid => attempt.make(),
            Sysno::dup3 => {
                let number = attempt.register(1);
                self.set(Descriptor { number, path: Some(recorded.file(0)), pipe: None });
                number
            }
            // What can be written to has room.
            // SAFETY: the first argument is one or more of struct pollfd
            Sysno::ppoll if unsafe { *(attempt.register(0) as *const libc::pollfd) }.events == libc::POLLOUT => 1,
            Sysno::umask => 0o022,
            _ => 0,
        }
    }
}

/// The descriptor in a structure that an argument points to: the cgroup of clone3, the file of a loop device.
fn fd_within(attempt: &Attempt, bytes: &[u8]) -> Option<usize> {
    match attempt.call.number {
        Sysno::clone3 => bytes.last_chunk().map(|fd| u64::from_ne_bytes(*fd) as usize),
        Sysno::ioctl if attempt.register(1) == Ioctl::LOOP_CONFIGURE.bits() as usize => {
            bytes.first_chunk().map(|fd| u32::from_ne_bytes(*fd) as usize)
        }
        _ => None,
    }
}

/// Whether it only asks about one of the three standard streams.
fn asks_a_stream(attempt: &Attempt) -> bool {
    let request = Ioctl::from_bits(attempt.register(1) as u64);
    attempt.register(0) <= 2 && [Ioctl::TCGETS, Ioctl::TIOCGWINSZ, Ioctl::TIOCGPGRP].contains(&request)
}

/// Whether it opens a directory by a path without links, and this host has something else there.
fn is_file_of_host(attempt: &Attempt) -> bool {
    let [directory, path, how, size] = core::array::from_fn(|at| attempt.register(at));
    // SAFETY: the third argument is a struct open_how, which begins with the flags
    let [flags, _, resolve] = unsafe { *(how as *const [u64; 3]) };
    let is_place = OpenFlags::from_bits(flags).has(OpenFlags::PATH | OpenFlags::DIRECTORY);
    if !is_place || resolve != ResolveFlags::NO_SYMLINKS.bits() {
        return false;
    }
    // SAFETY: the registers are those of an openat2(2) on its way
    match unsafe { syscalls::syscall4(Sysno::openat2, directory, path, how, size) } {
        Ok(fd) => {
            // SAFETY: nobody else knows of this descriptor
            let _ = unsafe { syscalls::syscall1(Sysno::close, fd) };
            false
        }
        Err(errno) => errno.into_raw() == libc::ENOTDIR,
    }
}

/// Fills the buffer of a read.
fn fill(attempt: &Attempt, content: &[u8]) -> usize {
    let len = content.len().min(attempt.register(2));
    // SAFETY: the second and third argument are a buffer and its length
    unsafe { core::ptr::copy_nonoverlapping(content.as_ptr(), attempt.register(1) as *mut u8, len) };
    len
}

/// The path of `name` below `directory`.
pub fn join(directory: &'static [u8], name: &'static [u8]) -> &'static [u8] {
    match name.strip_prefix(b".").unwrap_or(name) {
        _ if directory.is_empty() || name.starts_with(b"/") => name,
        b"" => directory,
        below if below.starts_with(b"/") => c_string(&[directory, below]).to_bytes(),
        _ => c_string(&[directory, b"/", name]).to_bytes(),
    }
}

impl Recorded {
    /// The argument `at` as bytes.
    pub fn bytes(&self, at: usize) -> &'static [u8] {
        self.arguments.get(at).map_or(b"", |argument| argument.bytes)
    }

    /// The argument `at` as a number.
    pub fn number(&self, at: usize) -> usize {
        self.registers.get(at).copied().unwrap_or_default()
    }

    /// What the argument `at` refers to, if it is a descriptor.
    pub fn file(&self, at: usize) -> &'static [u8] {
        self.arguments.get(at).map_or(b"", |argument| argument.file)
    }

    /// The path that the arguments `at` and `at + 1`, a directory and a name in it, lead to.
    pub fn path(&self, at: usize) -> &'static [u8] {
        join(self.file(at), self.bytes(at + 1))
    }

    /// Whether it opens a file with all of `flags`.
    pub fn opens_with(&self, flags: OpenFlags) -> bool {
        self.call.number == Sysno::openat && OpenFlags::from_bits(self.number(2) as u64).has(flags)
    }

    /// Puts the call as strace(1) shows it with `-y`: descriptors with what they refer to. Without `numbers`, only with that: in
    /// a run, a descriptor may get another number than in its rehearsal.
    pub fn put(&self, numbers: bool, out: &mut Vec<u8>) {
        let mut line: Vec<u8> = Vec::new();
        line.put(self.call.name.as_bytes());
        line.put(b"(");
        for (at, (show, Noted { value, file, .. })) in self.call.arguments.iter().zip(&self.arguments).enumerate() {
            line.put(if at == 0 { b"" } else { b", " });
            let is_file = !file.is_empty();
            match (show, value) {
                (Show::Descriptor, _) if !numbers && is_file => {}
                // Where something is in memory differs from run to run.
                (Show::Address | Show::Filled | Show::Written(..), Argument::Number(address)) if *address != 0 => {
                    line.put(b"...");
                }
                (Show::Environment, Argument::Strings(strings)) => {
                    line.put(b"... /* ");
                    line.put_decimal(strings.iter().count() as u64);
                    line.put(b" vars */");
                }
                (_, value) => {
                    let from = line.len();
                    show.put(value, &mut line);
                    // What a link says is a name, and stays one.
                    if !numbers && self.call.number != Sysno::symlinkat {
                        hide_number(&mut line, from);
                    }
                }
            }
            // The descriptor in struct clone_args is the last of its fields.
            if !numbers && is_file && line.pop_if(|last| *last == b'}').is_some() {
                while line.pop_if(|last| last.is_ascii_digit()).is_some() {}
                line.put(b"}");
            }
            if is_file {
                line.put(b"<");
                // `//` says that a mount is attached nowhere; to the kernel its top is `/`.
                line.put_escaped(if file.starts_with(b"//") { &file[1..] } else { file });
                line.put(b">");
            }
        }
        line.put(b")");
        put_with_unknowns(&line, out);
    }
}

/// Puts `...` in place of the number in the name of a descriptor in /proc, if what begins at `from` is one.
fn hide_number(line: &mut Vec<u8>, from: usize) {
    // The second one from a /proc that is the working directory.
    const NAMES: [&[u8]; 2] = [b"\"/proc/self/fd/", b"\"self/fd/"];
    let word = line.get(from..).unwrap_or_default();
    let Some((name, number)) = NAMES.iter().find_map(|name| Some((name, word.strip_prefix(*name)?))) else { return };
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = number.get(digits..).unwrap_or_default().to_vec();
    line.truncate(from + name.len());
    line.put(b"...");
    line.put(&rest);
}

/// Puts `bytes` with a name in the place of each number that only a real run knows.
pub fn put_with_unknowns(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        match UNKNOWN.iter().find_map(|(number, name)| Some((rest.strip_prefix(*number)?, name))) {
            Some((after, name)) => {
                out.put(name);
                rest = after;
            }
            None => {
                out.put(&[*byte]);
                rest = after;
            }
        }
    }
}

impl Recorded {
    /// The argument `at` as a list of strings.
    pub fn strings(&self, at: usize) -> Vec<&'static [u8]> {
        let mut list = Vec::new();
        if let Some(Noted { value: Argument::Strings(strings), .. }) = self.arguments.get(at) {
            for string in strings.iter() {
                list.push(string.to_bytes());
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_descriptors() {
        for (word, hidden) in [
            ("\"/proc/self/fd/12\"", "\"/proc/self/fd/...\""),
            ("\"self/fd/7\"", "\"self/fd/...\""),
            ("\"/self/fd/7\"", "\"/self/fd/7\""),
        ] {
            let mut line = format!("f({word}").into_bytes();
            hide_number(&mut line, 2);
            assert_eq!(String::from_utf8_lossy(&line), format!("f({hidden}"));
        }
    }
}
