//! Signals: which ones both processes block, and what mydocker does with a signal that reaches it while the command runs.
//! Sources: signal(7), proc_pid_status(5).

use crate::bytes::{self, FixedBytes, Put};
use crate::error::{Error, Result};
use crate::step::{Child, ChildStep, Parent, ParentStep};
use crate::sys::{self, OpenFlags, Pid, SigSet, SignalNumber};
use core::ffi::CStr;

pub use crate::sys::trace::ENDING;

/// Signals that mydocker forwards even to a command that does nothing with them. All others end the container then, as they would
/// end any process.
const HARMLESS: SigSet = SigSet::of(&[libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH, libc::SIGCONT]);

/// What the terminal stops a background process with: left unblocked, so that they still stop us.
const BACKGROUND: SigSet = SigSet::of(&[libc::SIGTTIN, libc::SIGTTOU]);

/// The signals that mydocker blocks: it takes them from its signalfd, so that it always cleans up before it ends. A blocked
/// SIGPIPE stays pending, so a write to the pipe of a child that has ended returns EPIPE. A fault of mydocker itself ends it,
/// blocked or not.
pub const BLOCKED: SigSet = SigSet::ALL.without(BACKGROUND);

/// The signals that it reads from the signalfd.
pub const AWAITED: SigSet = BLOCKED.without(SigSet::of(&[libc::SIGPIPE]));

/// mydocker asks a reaper with this signal to stop the group of the command.
pub const STOP: i32 = 64;

/// What another process does with its signals. The kernel discards all others that are sent to a PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dispositions {
    /// Those that it ignores or catches.
    handled: SigSet,
    /// Those that it blocks, or has pending. It may wait for one, or discard it once it blocks it no more.
    held: SigSet,
}

impl Dispositions {
    fn of(pid: Pid) -> Option<Dispositions> {
        read(file_of(pid, b"/status\0").as_c_str()?, Dispositions::parse)
    }

    fn parse(status: &[u8]) -> Option<Dispositions> {
        let set = |key: &[u8]| bytes::hexadecimal(bytes::field(status, key)?);
        let handled = SigSet(set(b"SigIgn:")? | set(b"SigCgt:")?);
        Some(Dispositions { handled, held: SigSet(set(b"SigBlk:")? | set(b"ShdPnd:")?) })
    }
}

/// Whether SIGKILL has been sent to a process, which it has not reached yet.
pub fn is_killed(pid: Pid) -> bool {
    let pending = |status: &[u8]| bytes::hexadecimal(bytes::field(status, b"ShdPnd:")?).map(SigSet);
    read(file_of(pid, b"/status\0").as_c_str().unwrap_or_default(), pending).is_some_and(|set| set.has(libc::SIGKILL))
}

/// Calls `find` with lines of the file until it has found what it looks for, which is some hundred bytes at most. Usually all of it fits
/// into the buffer; but the line of groups can have 65,536 of them. Nothing is allocated.
fn read<T>(path: &CStr, find: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut buffer = [0u8; 4096];
    let start = sys::read_up_to(None, path, &mut buffer).ok()?;
    if start.len() < 4096 {
        return find(start);
    }
    let file = sys::open(path, OpenFlags::NONE).ok()?;
    let mut at = 0;
    loop {
        let n = sys::pread(file.borrow(), &mut buffer, at).ok().filter(|n| *n > 0)?;
        // The last line may be cut; and there may be nothing but a part of one.
        let end = buffer.get(..n)?.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        if let Some(found) = find(buffer.get(..end)?) {
            return Some(found);
        }
        at += 2048;
    }
}

/// The path of a file of `pid` in /proc; `name` ends with a NUL.
fn file_of(pid: Pid, name: &[u8]) -> FixedBytes {
    let mut path = FixedBytes::new();
    path.put(b"/proc/");
    path.put_decimal(pid.0 as u64);
    path.put(name);
    path
}

/// What to do with a signal that has reached mydocker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The command gets it.
    Forward,
    /// Nothing: the command is not to see it.
    Drop,
    /// It would end any process but PID 1: the container is ended.
    End,
    /// mydocker and the command stop.
    Stop,
}

/// Reads the signal of `--stop-signal`: one that mydocker forwards, or KILL.
pub fn to_stop_with(word: &str) -> Result<i32> {
    const OTHERS: SigSet = SigSet::of(&[libc::SIGCHLD, libc::SIGURG, libc::SIGTSTP]);
    match SignalNumber::named(word.as_bytes()) {
        None => Err(Error::usage("no such signal", word.as_bytes())),
        Some(number) if number != libc::SIGKILL && !AWAITED.without(OTHERS).has(number) => {
            Err(Error::usage("--stop-signal cannot be one that reaches no command", word.as_bytes()))
        }
        Some(number) => Ok(number),
    }
}

/// Decides what to do with one signal. `heeded`: the command catches or ignores it, or waits for it.
pub fn fate(number: i32, heeded: bool) -> Fate {
    match number {
        libc::SIGTSTP => Fate::Stop,
        libc::SIGURG => Fate::Drop,
        number if !heeded && !HARMLESS.has(number) => Fate::End,
        _ => Fate::Forward,
    }
}

/// How often to read the status of a process that may be about to change it, and the pause between, in nanoseconds: 128 ms in all.
const LOOKS: u32 = 64;
const PAUSE: i64 = 2_000_000;

/// Whether a process does something with a signal. One that blocks it may wait for it with sigwait(3) or signalfd(2), as init
/// programs do; or it starts a program, and blocks all signals for that moment, as shells do around vfork(2): then it discards the
/// signal afterwards. While a process waits in sigwait, the kernel lifts the block, so between two looks it may have returned; and
/// one that runs may be on its way into that wait, its block lifted already. So look again, until it is in a call that tells.
pub fn heeds(pid: Pid, number: i32) -> bool {
    let mut holds = false;
    for _ in 0..LOOKS {
        let Some(seen) = Dispositions::of(pid) else { return false };
        if seen.handled.has(number) {
            return true;
        }
        let mut buffer = [0; 256];
        let call = call_of(pid, &mut buffer);
        // As long as this call waits, the block does not show in the status file.
        if is_in(call, &[libc::SYS_rt_sigtimedwait]) {
            return true;
        }
        holds = Dispositions::of(pid).is_some_and(|seen| seen.held.has(number));
        let is_passing = call == Some(b"running") || is_in(call, STARTS_A_PROCESS);
        if !is_passing && holds == seen.held.has(number) || sys::nanosleep(PAUSE).is_err() {
            break;
        }
    }
    holds
}

/// Whether a reaper waits for the next signal, and has handled [`STOP`].
pub fn has_handled_stop(pid: Pid) -> bool {
    is_in(call_of(pid, &mut [0; 256]), &[libc::SYS_rt_sigtimedwait])
        && !Dispositions::of(pid).is_some_and(|seen| seen.handled.has(STOP) || seen.held.has(STOP))
}

/// proc_pid_syscall(5): the number of the call that a process is in, or `running`.
fn call_of(pid: Pid, buffer: &mut [u8; 256]) -> Option<&[u8]> {
    let path = file_of(pid, b"/syscall\0");
    bytes::words(sys::read_up_to(None, path.as_c_str()?, buffer).ok()?).next()
}

/// The calls in which a process is while a new one begins to run.
#[cfg(target_arch = "x86_64")]
const STARTS_A_PROCESS: &[libc::c_long] = &[libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const STARTS_A_PROCESS: &[libc::c_long] = &[libc::SYS_clone, libc::SYS_clone3];

fn is_in(call: Option<&[u8]>, calls: &[libc::c_long]) -> bool {
    let number = call.and_then(|number| bytes::decimal(number).ok());
    number.is_some_and(|number| calls.iter().any(|call| *call as u64 == number))
}

step! {
    /// Blocks all signals, and reads them from a descriptor.
    pub struct BlockSignals {
        /// SIGCHLD is ignored, as a caller may have it: then children vanish without a status, wait(2).
        pub ignores_children: bool,
        /// The other signals that the caller ignores: they do not ask for the end.
        pub ignored: SigSet,
    }
}

impl ParentStep for BlockSignals {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        if self.ignores_children {
            sys::reset_signal(libc::SIGCHLD)?;
        }
        parent.ending = SigSet(parent.ending.0 & !self.ignored.0);
        sys::set_signal_mask(BLOCKED)?;
        parent.signals = Some(sys::signalfd(AWAITED)?);
        Ok(())
    }
}

step! {
    /// Starts the timer that ends the container, with SIGALRM for mydocker.
    pub struct StartTimer {
        /// After how many seconds.
        pub seconds: u32,
    }
}

impl ParentStep for StartTimer {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        sys::setitimer(self.seconds)
    }
}

step! {
    /// Leads a session and a process group of its own: no signal from inside reaches the caller's group.
    ///
    /// kill(2) of the group that one is in knows no namespaces. The caller's terminal sends the signals of its keys to mydocker
    /// alone, which passes them on: a group of its own in the caller's session would have to be in the terminal's foreground
    /// instead of mydocker's, and so of the rest of a pipeline. In a session of its own it cannot push input into that terminal
    /// either.
    pub struct LeadSession;
}

impl ChildStep for LeadSession {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::setsid()
    }
}

step! {
    /// Restores the signals as the command expects them.
    pub struct ResetSignals {
        /// Those that the caller ignores, which execve(2) would keep.
        pub ignored: SigSet,
    }
}

impl ChildStep for ResetSignals {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        for signal in self.ignored {
            sys::reset_signal(signal)?;
        }
        sys::set_signal_mask(SigSet::EMPTY)
    }
}

step! {
    /// Asks for SIGKILL when mydocker dies.
    ///
    /// A change of ids would clear this (prctl(2)), so it comes after them.
    pub struct DieWithParent;
}

impl ChildStep for DieWithParent {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        sys::die_with_parent()?;
        // A parent that has died before that call has closed its end of the pipe.
        match &child.pipes.error_write {
            Some(pipe) if sys::reader_is_gone(pipe.borrow())? => sys::exit_group(125),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_file() {
        let file = b"Name:\tx\nSigQ:\t0/1\nShdPnd:\t0000000000000004\nSigBlk:\t0000000000010000\n\
                     SigIgn:\t0000000000001001\nSigCgt:\t0000000180004002\n";
        let read = Dispositions::parse(file).unwrap();
        assert_eq!(read.handled.into_iter().collect::<Vec<_>>(), [1, 2, 13, 15, 32, 33]);
        assert_eq!(read.held.into_iter().collect::<Vec<_>>(), [3, 17]);
        assert_eq!(Dispositions::parse(b"SigBlk:\t0\n"), None);
        assert_eq!(bytes::hexadecimal(b"0x1"), None);
    }

    #[test]
    fn fates() {
        for (number, heeded, expected) in [
            (libc::SIGTERM, false, Fate::End),
            (libc::SIGTERM, true, Fate::Forward),
            (libc::SIGUSR1, false, Fate::Forward),
            (libc::SIGWINCH, false, Fate::Forward),
            (libc::SIGTSTP, false, Fate::Stop),
            (libc::SIGALRM, true, Fate::Forward),
            (libc::SIGALRM, false, Fate::End),
            (40, true, Fate::Forward),
            (40, false, Fate::End),
            (libc::SIGURG, false, Fate::Drop),
        ] {
            assert_eq!(fate(number, heeded), expected, "{number}");
        }
    }

    #[test]
    fn what_is_awaited() {
        assert!(AWAITED.has(libc::SIGCHLD) && AWAITED.has(libc::SIGTERM));
        assert!(!AWAITED.has(libc::SIGPIPE) && !AWAITED.has(libc::SIGTTIN));
    }
}
