//! Signals: what the caller had ignored, and what becomes of those that reach mydocker while the command runs.

use crate::sys::{self, Pid, SigSet, Signal};
use crate::text::{self, Put, Text};
use core::ffi::CStr;

/// Signals that end a process which neither catches nor ignores them; from PID 1 the kernel keeps them away.
pub const ENDING: SigSet = SigSet::of(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM]);

/// Signals that mydocker passes on.
const FORWARDED: SigSet = SigSet::of(&[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
]);

/// What stops a background process that uses its terminal: rightly so.
const BACKGROUND: SigSet = SigSet::of(&[libc::SIGTTIN, libc::SIGTTOU]);

/// What mydocker blocks: every signal has to come through its signalfd, so that no way out misses the cleaning up.
/// SIGPIPE stays pending, and a write to a dead child's pipe returns. A fault of mydocker itself ends it, blocked or not.
pub const BLOCKED: SigSet = SigSet::all().without(BACKGROUND);

/// What it reads.
pub const AWAITED: SigSet = BLOCKED.without(SigSet::of(&[libc::SIGPIPE]));

/// With this mydocker asks a reaper for a stop: a SIGTSTP of its own would be one with that of a terminal.
pub const STOP: i32 = 64;

/// What a process does with its signals: from /proc/PID/status, proc_pid_status(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispositions {
    /// Those it ignores.
    pub ignored: SigSet,
    /// Those it ignores, catches, blocks, or has yet to take: what PID 1 has no use for is never kept for it.
    heeded: SigSet,
}

/// The signals that a process ignores, by its `/proc/PID/status`; `None` where that does not tell.
pub fn ignored(status: &[u8]) -> Option<SigSet> {
    Dispositions::parse(status).map(|own| own.ignored)
}

impl Dispositions {
    /// Of mydocker itself; `None` where /proc does not tell, or tells of another PID namespace.
    pub fn own(pid: Pid) -> Option<Dispositions> {
        let same =
            |status: &[u8]| text::field(status, b"Pid:").and_then(|n| text::decimal(n).ok()) == Some(pid.0 as u64);
        read(c"/proc/self/status", |status| Dispositions::parse(status).filter(|_| same(status)))
    }

    /// Of another process.
    fn of(pid: Pid) -> Option<Dispositions> {
        read(file_of(pid, b"/status\0").as_c_str()?, Dispositions::parse)
    }

    fn parse(status: &[u8]) -> Option<Dispositions> {
        let set = |key| text::from_hexadecimal(text::field(status, key)?);
        let ignored = set(b"SigIgn:")?;
        let heeded = ignored | set(b"SigCgt:")? | set(b"SigBlk:")? | set(b"ShdPnd:")?;
        Some(Dispositions { ignored: SigSet(ignored), heeded: SigSet(heeded) })
    }
}

/// What `find` finds in the whole file. It is as short as this as a rule, and nothing is allocated; but a process can be
/// in very many groups.
fn read<T>(path: &CStr, find: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut buffer = [0u8; 4096];
    let start = sys::read_up_to(None, path, &mut buffer).ok()?;
    if start.len() < 4096 { find(start) } else { find(&sys::read_file(path).ok()?) }
}

/// The path of a file of `pid` in /proc; `name` ends with a NUL.
fn file_of(pid: Pid, name: &[u8]) -> Text<32> {
    let mut path = Text::plain(b"/proc/");
    path.put_decimal(pid.0 as u64);
    path.put(name);
    path
}

/// What to do with a signal that has reached mydocker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The command gets it.
    Forward,
    /// The command has it already, or has no use for it.
    Drop,
    /// It would end any process but PID 1: the container ends.
    End,
    /// It stops mydocker, and the command with it.
    Stop,
}

/// Decides for one signal. `heeded`: the command catches or ignores it, or waits for it. `terminal_is_shared`: what a
/// terminal sends to mydocker, it sends to the command too, for both are in its foreground group.
pub fn fate(signal: Signal, heeded: bool, terminal_is_shared: bool) -> Fate {
    match signal.number {
        libc::SIGTSTP => return Fate::Stop,
        libc::SIGURG => return Fate::Drop,
        number if !FORWARDED.has(number) => return Fate::End,
        _ => {}
    }
    match (ENDING.has(signal.number), heeded, signal.from_kernel && terminal_is_shared) {
        (true, false, _) => Fate::End,
        (_, _, true) => Fate::Drop,
        _ => Fate::Forward,
    }
}

/// How often a process is looked at that runs, with a pause of a millisecond that doubles: 63 in all.
const LOOKS: u32 = 7;

/// Whether a process does something with a signal. One that blocks it may wait for it with sigwait(3) or signalfd(2), as
/// init programs do; while it waits, the kernel lifts the block, so between two looks it may have returned. One that runs
/// may be on its way into that wait, its block lifted already: it is looked at again.
pub fn heeds(pid: Pid, number: i32) -> bool {
    for look in 0..LOOKS {
        if shows(pid, number) {
            return true;
        }
        match call_of(pid, &mut [0; 256]) {
            Some(b"running") if sys::nanosleep(1_000_000 << look).is_ok() => {}
            // The block does not show in the status file for as long as this call waits.
            call => return is_sigtimedwait(call) || shows(pid, number),
        }
    }
    shows(pid, number)
}

/// Whether a reaper waits for the next signal, and is done with [`STOP`].
pub fn has_served(pid: Pid) -> bool {
    is_sigtimedwait(call_of(pid, &mut [0; 256])) && !shows(pid, STOP)
}

fn shows(pid: Pid, number: i32) -> bool {
    Dispositions::of(pid).is_some_and(|d| d.heeded.has(number))
}

/// proc_pid_syscall(5): the number of the call that a process is in, or `running`.
fn call_of(pid: Pid, buffer: &mut [u8; 256]) -> Option<&[u8]> {
    let path = file_of(pid, b"/syscall\0");
    text::words(sys::read_up_to(None, path.as_c_str()?, buffer).ok()?).next()
}

fn is_sigtimedwait(call: Option<&[u8]>) -> bool {
    call.and_then(|number| text::decimal(number).ok()) == Some(libc::SYS_rt_sigtimedwait as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_file() {
        let file = b"Name:\tx\nSigQ:\t0/1\nShdPnd:\t0000000000000004\nSigBlk:\t0000000000010000\n\
                     SigIgn:\t0000000000001001\nSigCgt:\t0000000180004002\n";
        let read = Dispositions::parse(file).unwrap();
        assert_eq!(read.ignored.numbers().collect::<Vec<_>>(), [1, 13]);
        assert_eq!(read.heeded.numbers().collect::<Vec<_>>(), [1, 2, 3, 13, 15, 17, 32, 33]);
        assert_eq!(Dispositions::parse(b"SigBlk:\t0\n"), None);
        assert_eq!(text::from_hexadecimal(b"0x1"), None);
    }

    #[test]
    fn fates() {
        let user = |number| Signal { number, from_kernel: false };
        let terminal = |number| Signal { number, from_kernel: true };
        for (signal, heeded, expected) in [
            (user(libc::SIGTERM), false, Fate::End),
            (user(libc::SIGTERM), true, Fate::Forward),
            (terminal(libc::SIGINT), false, Fate::End),
            (terminal(libc::SIGINT), true, Fate::Drop),
            (user(libc::SIGUSR1), false, Fate::Forward),
            (terminal(libc::SIGWINCH), false, Fate::Drop),
            (terminal(libc::SIGTSTP), false, Fate::Stop),
            (user(libc::SIGALRM), true, Fate::End),
            (user(40), false, Fate::End),
            (user(libc::SIGURG), false, Fate::Drop),
        ] {
            assert_eq!(fate(signal, heeded, true), expected, "{} {}", signal.number, signal.from_kernel);
        }
    }

    #[test]
    fn a_terminal_of_its_own_leaves_the_signals_to_mydocker() {
        let signal = Signal { number: libc::SIGINT, from_kernel: true };
        assert_eq!(fate(signal, true, false), Fate::Forward);
    }

    #[test]
    fn what_is_awaited() {
        assert!(AWAITED.has(libc::SIGCHLD) && AWAITED.has(libc::SIGTERM));
        assert!(!AWAITED.has(libc::SIGPIPE) && !AWAITED.has(libc::SIGTTIN));
    }
}
