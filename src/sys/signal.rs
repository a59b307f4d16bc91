//! Signals: sigprocmask(2), sigaction(2), signalfd(2), sigtimedwait(2).

use super::fd::{Fd, FdRef};
use super::flags::{How, OpenFlags, SigSet, SignalNumber};
use super::gate::{Null, Object, call};
use super::process::SigInfo;
use crate::error::Result;

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

/// read(2) of one signal.
pub fn take_signal(signals: FdRef) -> Result<Signal> {
    // struct signalfd_siginfo begins as siginfo_t does: number, errno, code; 128 bytes
    let mut info = SigInfo::EMPTY;
    // SAFETY: the kernel writes as much as the structure is large
    unsafe { call!(read(signals, &mut info, size_of::<SigInfo>())) }.about_text(b"signalfd")?;
    let [number, _, code, ..] = info.0;
    Ok(Signal { number: number as i32, code: code as i32 })
}

/// rt_sigtimedwait(2) without a timeout, for a signal of `set`, which must be blocked.
pub fn wait_for_signal(set: SigSet) -> Result<Signal> {
    let mut info = SigInfo::EMPTY;
    // SAFETY: the kernel reads one set of 8 bytes and writes one siginfo_t; a null pointer is no timeout
    let number = unsafe { call!(rt_sigtimedwait(&set, &mut info, Null, 8usize)) }.result()? as i32;
    Ok(Signal { number, code: info.0[2] as i32 })
}
