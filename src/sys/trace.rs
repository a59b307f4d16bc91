//! `--trace`: every call as it returns, one line each, as strace(1) shows it. The calls of the trace itself (for its file, the
//! time, its writes) do not go through the gate, and so are not shown.

use super::Dir;
use super::fd::{Fd, FdRef};
use super::flags::SigSet;
use super::gate::{self, Attempt, INTERRUPTED};
use crate::bytes::{Put, Sink};
use crate::error::{Error, Result, put_errno};
use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use syscalls::{Errno, Sysno};

// The child has a copy of all this, as of everything.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static WHO: AtomicU8 = AtomicU8::new(0);
static PHASE: AtomicU8 = AtomicU8::new(0);
static COLOURS: AtomicU8 = AtomicU8::new(0);
/// Not to wait for a reader of the trace that takes nothing.
static IMPATIENT: AtomicU8 = AtomicU8::new(0);
/// The line of an execve that has not failed, in memory that the processes share.
static PENDING: AtomicPtr<Pending> = AtomicPtr::new(core::ptr::null_mut());

/// Which process makes the calls.
#[derive(Clone, Copy)]
pub enum Who {
    /// mydocker itself.
    Parent,
    /// The process that becomes the command.
    Child,
    /// With `--init`: PID 1, whose child becomes the command.
    Reaper,
}

/// What the calls are for.
#[derive(Clone, Copy)]
pub enum Phase {
    /// Looks at the host.
    Plan,
    /// Carries out the steps.
    Start,
    /// The command runs.
    Wait,
    /// Removes what was attempt.
    End,
}

/// Each as wide as the widest.
const WHO_NAMES: [&str; 3] = ["parent", "child ", "reaper"];
const PHASE_NAMES: [&str; 4] = ["plan ", "start", "wait ", "end  "];

/// A line under construction. It is not on the heap, which never frees. What does not fit is left out.
struct Line {
    bytes: [u8; 1024],
    len: usize,
}

impl Sink for Line {
    fn append(&mut self, bytes: &[u8]) {
        // As a whole, so that no character is cut; with room for the newline.
        let end = self.len + bytes.len();
        if end < self.bytes.len()
            && let Some(room) = self.bytes.get_mut(self.len..end)
        {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }
}

/// The line of an execve. A process that has become another program cannot print it; the parent does when the error pipe has
/// closed.
struct Pending {
    len: AtomicUsize,
    bytes: core::cell::UnsafeCell<[u8; 1024]>,
}

/// The kernel, without the gate.
fn bare(number: Sysno, [a, b, c, d]: &[usize; 4]) -> core::result::Result<usize, Errno> {
    // SAFETY: each caller in this file passes what the man page of its call asks for, and it outlives the call; -1 and 0 stand
    // for the descriptor and the offset of a mapping without a file
    unsafe { syscalls::syscall6(number, *a, *b, *c, *d, usize::MAX, 0) }
}

/// Microseconds on the monotonic clock.
fn now() -> u64 {
    let mut time = [0u64; 2];
    // It cannot fail: this clock is always there, and the array is a struct timespec.
    let _ = bare(Sysno::clock_gettime, &[libc::CLOCK_MONOTONIC as usize, time.as_mut_ptr() as usize, 0, 0]);
    time[0] * 1_000_000 + time[1] / 1000
}

/// From here on every call is shown: in the file `output`, which is emptied, or without one on stderr. `plain`: without colours, even
/// on a terminal.
pub fn begin(output: Option<(Option<&Dir>, &CStr)>, plain: bool) -> Result<()> {
    let file = output.map(|(directory, name)| super::fs::create_file(directory, name)).transpose()?;
    let path = output.map(|(_, name)| name);
    let fd = file.as_ref().map_or(FdRef::STDERR, Fd::borrow);
    // A pipe or a terminal is opened again, so that no write can wait.
    let again = super::tty::open_again(fd);
    let fd = again.as_ref().map_or(fd, Fd::borrow);
    // A copy, because the command's stderr may become another file; its number is above those that the run opens.
    let above = |least| bare(Sysno::fcntl, &[fd.number() as usize, libc::F_DUPFD_CLOEXEC as usize, least, 0]);
    let copy = above(500).or_else(|_| above(100)).or_else(|_| above(3));
    let copy = copy.map_err(|errno| Error::call("fcntl", errno, path.map_or(b"stderr", CStr::to_bytes), &[]))?;
    if !plain && super::tty::tcgets(fd).is_some() {
        COLOURS.store(1, Relaxed);
    }
    drop((again, file));
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    let shared = bare(Sysno::mmap, &[0, size_of::<Pending>(), protection as usize, flags as usize]);
    PENDING.store(shared.unwrap_or(0) as *mut Pending, Relaxed);
    BEGUN.store(now(), Relaxed);
    super::fd::set_of_trace(copy as i32);
    gate::observe(show_as_it_returns);
    Ok(())
}

/// This process is `who` from here on.
pub fn set_who(who: Who) {
    WHO.store(who as u8, Relaxed);
}

/// A step of `who` begins: what its calls are for.
pub fn begin_step(who: Who, purpose: &str) {
    WHO.store(who as u8, Relaxed);
    PHASE.store(Phase::Start as u8, Relaxed);
    if BEGUN.load(Relaxed) != 0 {
        let mut line = Line::EMPTY;
        line.begin();
        line.put(b"# ");
        line.put(purpose.as_bytes());
        line.end();
        write(&line.bytes, line.len);
    }
}

/// The next phase begins.
pub fn set_phase(phase: Phase) {
    PHASE.store(phase as u8, Relaxed);
}

/// The execve of a child has worked: writes its line, if there is one that has not failed.
pub fn show_execve() {
    let Some(pending) = pending() else { return };
    let len = pending.len.swap(0, Relaxed);
    if len > 0 {
        // SAFETY: the child that has put the line there has become another program, and so writes there no more
        write(unsafe { &*pending.bytes.get() }, len);
    }
}

fn pending() -> Option<&'static Pending> {
    // SAFETY: either null or the mapping that `begin` has attempt, which nobody unmaps
    unsafe { PENDING.load(Relaxed).as_ref() }
}

/// The observer: makes a call and shows it.
fn show_as_it_returns(attempt: Attempt) -> usize {
    loop {
        match attempt.call.number {
            Sysno::exit_group => show(&attempt, None),
            Sysno::execve => keep_for_later(&attempt),
            _ => {}
        }
        let value = attempt.make();
        if attempt.call.number == Sysno::execve
            && let Some(pending) = pending()
        {
            pending.len.store(0, Relaxed);
        }
        // The child of a fork returns here as well; its parent prints the clone.
        if !(attempt.call.number == Sysno::clone && value == 0) {
            show(&attempt, Some(value));
        }
        if value != INTERRUPTED {
            return value;
        }
    }
}

/// Puts the line of an execve where the parent finds it.
fn keep_for_later(attempt: &Attempt) {
    let Some(pending) = pending() else { return };
    let mut line = Line::EMPTY;
    line.put_call(attempt, Some(0));
    // SAFETY: one process at a time is on its way into execve, and the parent reads only after the length is set
    unsafe { *pending.bytes.get() = line.bytes };
    pending.len.store(line.len, Relaxed);
}

/// Writes one line; without a value, that of a call that does not return.
fn show(attempt: &Attempt, value: Option<usize>) {
    let mut line = Line::EMPTY;
    line.put_call(attempt, value);
    write(&line.bytes, line.len);
}

/// Signals that ask for the end: they end a process which neither catches nor ignores them. The kernel does not deliver them to
/// such a PID 1.
pub const ENDING: SigSet = SigSet::of(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM]);

/// Whether to wait for a reader of the trace that takes nothing: not if a signal asks for the end, which is blocked here.
/// Returns what has been so far.
pub(super) fn set_patience(patience: bool) -> bool {
    let impatient = IMPATIENT.load(Relaxed);
    IMPATIENT.store(u8::from(!patience), Relaxed);
    impatient == 0
}

fn write(bytes: &[u8; 1024], len: usize) {
    let fd = super::fd::of_trace().unwrap_or(0) as usize;
    // A trace that cannot be written is lost; the run goes on.
    while bare(Sysno::write, &[fd, bytes.as_ptr() as usize, len, 0]) == Err(Errno::EAGAIN) && has_room(fd) {}
}

/// Waits until something can be written. `false`: a signal asks for the end first.
fn has_room(fd: usize) -> bool {
    loop {
        let mut poll = libc::pollfd { fd: fd as i32, events: libc::POLLOUT, revents: 0 };
        let patient = IMPATIENT.load(Relaxed) == 0;
        let time = [0i64, if patient { 20_000_000 } else { 0 }];
        let arguments = [core::ptr::from_mut(&mut poll) as usize, 1, time.as_ptr() as usize, 0];
        if bare(Sysno::ppoll, &arguments) != Ok(0) {
            return true;
        }
        let mut pending = SigSet::EMPTY;
        let asked = bare(Sysno::rt_sigpending, &[core::ptr::from_mut(&mut pending) as usize, 8, 0, 0]);
        if !patient || asked.is_ok() && pending.0 & ENDING.0 != 0 {
            return false;
        }
    }
}

impl Line {
    const EMPTY: Line = Line { bytes: [0; 1024], len: 0 };

    /// Puts who makes the call, what for and when.
    fn begin(&mut self) {
        let who = WHO.load(Relaxed);
        let colours = COLOURS.load(Relaxed) != 0;
        if colours {
            self.put(if who == Who::Parent as u8 { b"\x1b[32m" } else { b"\x1b[36m" });
        }
        self.put(WHO_NAMES.get(usize::from(who)).copied().unwrap_or_default().as_bytes());
        self.put(b" ");
        self.put(PHASE_NAMES.get(usize::from(PHASE.load(Relaxed))).copied().unwrap_or_default().as_bytes());
        self.put(b" ");
        self.put_seconds(now() - BEGUN.load(Relaxed));
        self.put(if colours { b"\x1b[0m " } else { b" " });
    }

    /// Puts a newline, even if the line was cut.
    fn end(&mut self) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = b'\n';
            self.len += 1;
        }
    }

    /// Puts a whole line.
    fn put_call(&mut self, attempt: &Attempt, value: Option<usize>) {
        self.begin();
        self.put(attempt.call.name.as_bytes());
        self.put(b"(");
        for (at, show) in attempt.call.arguments.iter().enumerate() {
            self.put(if at == 0 { b"" } else { b", " });
            show.put(&attempt.argument(at, value), self);
        }
        self.put(b")");
        if let Some(value) = value {
            self.put(b" = ");
            self.put_result(attempt.call.number, value);
        }
        self.end();
    }

    fn put_result(&mut self, number: Sysno, value: usize) {
        match number {
            _ if value >= gate::ERRORS => {
                let colours = COLOURS.load(Relaxed) != 0;
                self.put(if colours { b"\x1b[31m-1 " } else { b"-1 " });
                put_errno(gate::errno(value), b"", self);
                self.put(if colours { b"\x1b[0m" } else { b"" });
            }
            Sysno::mmap => self.put_hex(value as u64),
            Sysno::umask => self.put_octal(value as u64),
            _ => self.put_decimal(value as u64),
        }
    }
}
