//! Signals: sigprocmask(2), sigaction(2), signalfd(2), sigtimedwait(2), setitimer(2); and what is written last, when a signal may end mydocker.

use super::cred::Pid;
use super::fd::{self, Fd, FdRef, Poll};
use super::flags::{How, OpenFlags, SigSet, SignalNumber, Timer};
use super::gate::About::Text;
use super::gate::{Null, Object, Print, SigInfo, call, word};
use super::trace;
use crate::bytes::Put;
use crate::error::{Error, Result};
use ::alloc::vec::Vec;

/// rt_sigprocmask(2) with SIG_SETMASK.
pub fn set_signal_mask(mask: SigSet) -> Result<()> {
    // SAFETY: the kernel reads one set of 8 bytes, and a null pointer asks for no old one
    unsafe { call!(rt_sigprocmask(How::SETMASK, &mask, Null, 8usize)) }.result().map(drop)
}

/// The kernel's struct sigaction: handler, flags, restorer, mask. Zeros are SIG_DFL.
#[repr(C)]
struct SigAction([u64; 4]);

impl Object for SigAction {}

/// rt_sigaction(2): the default disposition.
pub fn reset_signal(signal: i32) -> Result<()> {
    let default = SigAction([0; 4]);
    // SAFETY: the kernel reads one struct sigaction, and a null pointer asks for no old one
    unsafe { call!(rt_sigaction(SignalNumber::from(signal), &default, Null, 8usize)) }.result().map(drop)
}

/// struct itimerval: the interval and the time until it ends, each in seconds and microseconds.
#[repr(C)]
struct Itimerval([i64; 4]);

impl Object for Itimerval {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=");
        out.put_decimal(word(bytes, 2));
        out.put(b", tv_usec=0}}");
    });
}

/// setitimer(2): SIGALRM, once, after so many seconds.
pub fn setitimer(seconds: u32) -> Result<()> {
    let time = Itimerval([0, 0, seconds.into(), 0]);
    // SAFETY: the kernel reads one struct itimerval, and a null pointer asks for no old one
    unsafe { call!(setitimer(Timer::REAL, &time, Null)) }.result().map(drop)
}

/// signalfd4(2): a descriptor to read the signals of `set` from.
pub fn signalfd(set: SigSet) -> Result<Fd> {
    // SAFETY: the kernel reads one set of 8 bytes
    unsafe { call!(signalfd4(-1, &set, 8usize, OpenFlags::CLOEXEC)) }.result().map(Fd::own)
}

/// A signal that has been taken.
#[derive(Clone, Copy)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Where it comes from: si_code, sigaction(2).
    code: i32,
    /// Who has sent it, as seen from here; 0 if that is in another PID namespace, or the kernel.
    pub sender: Pid,
}

impl Signal {
    /// Whether the kernel itself has sent it, as a terminal does, to the whole foreground group.
    pub fn is_from_kernel(self) -> bool {
        self.code == libc::SI_KERNEL
    }

    /// Whether it was sent with tgkill(2).
    pub fn is_from_tgkill(self) -> bool {
        self.code == libc::SI_TKILL
    }
}

/// What [`await_ready`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// What it waits for.
    Awaited,
    /// One of the `ending` signals. It stays pending.
    Ending,
    /// The `other` one can be read.
    Other,
}

/// Waits until `awaited` is ready, or until one of the `ending` signals, which are blocked, comes first, or `other` can be read.
pub fn await_ready(ending: SigSet, awaited: Poll, other: Option<FdRef>) -> Result<Ready> {
    let signals = signalfd(ending)?;
    let mut all = [Poll::new(Some(signals.borrow()), true, false), awaited, Poll::new(other, true, false)];
    let used = if other.is_some() { 3 } else { 2 };
    fd::poll(all.get_mut(..used).unwrap_or_default(), None)?;
    let [signal, awaited, other] = all;
    Ok(match (other.can_read(), awaited.can_read() || awaited.can_write() || !signal.can_read()) {
        (true, _) => Ready::Other,
        (false, true) => Ready::Awaited,
        (false, false) => Ready::Ending,
    })
}

/// write(2) until all is taken, when nothing is left to be cleaned up: if the reader is stuck, any signal ends mydocker.
pub fn write_last(fd: FdRef, bytes: &[u8]) -> Result<()> {
    // A pipe that can be written to has room for that much.
    for part in bytes.chunks(libc::PIPE_BUF) {
        let mut room = [Poll::new(Some(fd), false, true)];
        // If it cannot be asked for, it is written all the same.
        if let Ok(false) = fd::poll(&mut room, Some(0)) {
            set_signal_mask(SigSet::of(&[libc::SIGPIPE]))?;
            fd::poll(&mut room, None)?;
        }
        fd::write_all(fd, part)?;
    }
    Ok(())
}

/// Prints an error on stderr, unless that has to wait for a reader: then it is returned.
pub fn say_now(error: Error) -> Result<()> {
    match fd::poll(&mut [Poll::new(Some(FdRef::STDERR), false, true)], Some(0)) {
        Ok(true) => {
            say(error);
            Ok(())
        }
        _ => Err(error),
    }
}

/// Prints an error on stderr, when nothing is left to be cleaned up.
pub fn say(error: Error) {
    let mut line = Vec::new();
    error.print(&mut line);
    match write_last(FdRef::STDERR, &line) {
        // A stderr that is closed or full is the caller's choice, and there is no other place to complain.
        Ok(()) | Err(_) => {}
    }
}

/// read(2) of one signal.
pub fn take_signal(signals: FdRef) -> Result<Signal> {
    // If the reader of a trace is stuck and this is a signal that asks for the end, the line of this call is not waited for.
    let patience = trace::set_patience(false);
    // struct signalfd_siginfo begins as siginfo_t does: number, errno, code; then the pid of the sender; 128 bytes
    let mut info = SigInfo::EMPTY;
    // SAFETY: the kernel writes as much as the structure is large
    unsafe { call!(read(signals, &mut info, size_of::<SigInfo>())) }.about(Text(b"signalfd"))?;
    let [number, _, code, sender, ..] = info.0;
    let number = number as i32;
    trace::set_patience(patience && !trace::ENDING.has(number));
    Ok(Signal { number, code: code as i32, sender: Pid(sender as i32) })
}

/// rt_sigtimedwait(2) without a timeout, for a signal of `set`, which must be blocked.
pub fn wait_for_signal(set: SigSet) -> Result<Signal> {
    let mut info = SigInfo::EMPTY;
    // SAFETY: the kernel reads one set of 8 bytes and writes one siginfo_t; a null pointer is no timeout
    let number = unsafe { call!(rt_sigtimedwait(&set, &mut info, Null, 8usize)) }.result()? as i32;
    // siginfo_t has room before the pid: its addresses have 8 bytes.
    Ok(Signal { number, code: info.0[2] as i32, sender: Pid(info.0[4] as i32) })
}
