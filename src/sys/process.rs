//! Processes, signals, and what a process is surrounded by.

use super::files::Fd;
use super::flags::{CloneFlags, How, Ioctl, MountFlags, OpenFlags, Prctl, SigSet, SignalNumber, Socket, WaitOptions};
use super::gate::sys;
use crate::error::{Errno, Result};
use crate::text::to_decimal;
use ::alloc::vec::Vec;
use core::ffi::{CStr, c_char};

/// A process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

/// getpid(2).
pub fn getpid() -> Pid {
    // SAFETY: it takes nothing and cannot fail
    Pid(unsafe { sys!(getpid()) }.ok().map_or(0, |pid| pid as i32))
}

/// Whether this process leads its session: getsid(2).
pub fn leads_session() -> bool {
    // SAFETY: it takes a number, 0 for the caller, and cannot fail for it
    unsafe { sys!(getsid(0)) }.ok().is_some_and(|session| session as i32 == getpid().0)
}

/// Whether `pid` is in the caller's process group: getpgid(2).
pub fn same_group(pid: Pid) -> bool {
    // SAFETY: numbers only
    let group = |pid: i32| unsafe { sys!(getpgid(pid)) }.ok();
    group(pid.0).is_some_and(|theirs| group(0) == Some(theirs))
}

/// How a process ended, as wait(2) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It called exit with this status, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// wait4(2), waiting until the child has ended or, without `wait`, only looking.
pub fn wait4(pid: Pid, wait: bool) -> Result<Option<Wait>> {
    wait_for(pid, wait).map(|ended| ended.map(|(_, how)| how))
}

/// wait4(2) for any child: which one, and how it ended.
pub fn wait_any(wait: bool) -> Result<Option<(Pid, Wait)>> {
    wait_for(Pid(-1), wait)
}

fn wait_for(pid: Pid, wait: bool) -> Result<Option<(Pid, Wait)>> {
    let mut status: i32 = 0;
    let options = if wait { WaitOptions::NONE } else { WaitOptions::NOHANG };
    // SAFETY: the kernel writes one int; no usage is asked for
    let pid = unsafe { sys!(wait4(pid.0, &raw mut status, options, 0usize)) }.of(b"")?;
    Ok(match (pid, status & 0x7f) {
        (0, _) => None,
        (pid, 0) => Some((Pid(pid as i32), Wait::Exited(status >> 8 & 0xff))),
        (pid, signal) => Some((Pid(pid as i32), Wait::Signaled(signal))),
    })
}

/// kill(2). `Ok(false)`: there is no such process any more.
pub fn kill(pid: Pid, signal: i32) -> Result<bool> {
    // SAFETY: numbers only
    match unsafe { sys!(kill(pid.0, SignalNumber::from_bits(signal as u64))) }.of(b"") {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::ESRCH) => Ok(false),
        Err(e) => Err(e.about(&to_decimal(pid.0 as u64))),
    }
}

/// rt_sigprocmask(2) with SIG_SETMASK; returns the mask that was.
pub fn set_signal_mask(mask: SigSet) -> Result<SigSet> {
    let mut old = SigSet::EMPTY;
    // SAFETY: the kernel reads and writes one set of 8 bytes each
    unsafe { sys!(rt_sigprocmask(How::SETMASK, &mask, &raw mut old, 8usize)) }.of(b"")?;
    Ok(old)
}

/// rt_sigaction(2): back to the default.
pub fn reset_signal(signal: i32) -> Result<()> {
    // struct sigaction of the kernel: handler (0 is SIG_DFL), flags, restorer, mask
    let default = [0u64; 4];
    // SAFETY: the kernel reads one struct sigaction, and writes none
    unsafe { sys!(rt_sigaction(SignalNumber::from_bits(signal as u64), default.as_ptr(), 0usize, 8usize)) }
        .of(b"")
        .map(drop)
}

/// rt_sigtimedwait(2) without a timeout, for a signal of `set`, which must be blocked.
pub fn wait_for_signal(set: SigSet) -> Result<Signal> {
    // siginfo_t: number, errno, code, ...; 128 bytes
    let mut info = [0u32; 32];
    // SAFETY: the kernel reads one set of 8 bytes and writes one siginfo_t; a null timeout
    let number = unsafe { sys!(rt_sigtimedwait(&set, info.as_mut_ptr(), 0usize, 8usize)) }.of(b"")? as i32;
    Ok(Signal { number, from_kernel: info[2] as i32 == libc::SI_KERNEL })
}

/// clone(2) as fork(2) has it: the same stack, copied; in new `namespaces`. `None` in the child.
pub fn fork(namespaces: CloneFlags) -> Result<Option<Pid>> {
    // SAFETY: without CLONE_VM and with a null stack the child returns on its own copy of everything
    let pid = unsafe { sys!(clone(namespaces | CloneFlags::SIGCHLD, 0usize, 0usize, 0usize, 0usize)) }.of(b"")?;
    Ok((pid != 0).then_some(Pid(pid as i32)))
}

/// signalfd(2): a descriptor to read the signals of `set` from.
pub fn signalfd(set: SigSet) -> Result<Fd> {
    // SAFETY: the kernel reads one set of 8 bytes
    let fd = unsafe { sys!(signalfd4(-1, &set, 8usize, OpenFlags::CLOEXEC)) }.of(b"")?;
    Ok(Fd::own(fd))
}

/// A signal that has been taken.
#[derive(Clone, Copy)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Whether the kernel itself sent it (SI_KERNEL), as a terminal does, to the whole foreground group.
    pub from_kernel: bool,
}

/// read(2) of one signal.
pub fn take_signal(signals: &Fd) -> Result<Signal> {
    // struct signalfd_siginfo: number, errno, code, ...; 128 bytes
    let mut info = [0u32; 32];
    // SAFETY: the length is that of the array
    unsafe { sys!(read(signals.raw(), info.as_mut_ptr(), size_of_val(&info))) }.of(b"signalfd")?;
    let [number, _, code, ..] = info;
    Ok(Signal { number: number as i32, from_kernel: code as i32 == libc::SI_KERNEL })
}

/// prctl(2) PR_SET_PDEATHSIG: SIGKILL when the parent dies.
pub fn die_with_parent() -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(prctl(Prctl::SET_PDEATHSIG, SignalNumber::KILL)) }.of(b"PR_SET_PDEATHSIG").map(drop)
}

/// prctl(2) PR_SET_CHILD_SUBREAPER: orphans below become our children.
pub fn set_child_subreaper() -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(prctl(Prctl::SET_CHILD_SUBREAPER, 1)) }.of(b"PR_SET_CHILD_SUBREAPER").map(drop)
}

/// mount(2).
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: MountFlags, data: Option<&CStr>) -> Result<()> {
    let data = data.map_or(core::ptr::null(), CStr::as_ptr);
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(mount(source, target, fstype, flags, data)) }.on(None, target).map(drop)
}

/// sethostname(2).
pub fn sethostname(name: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length are of one slice
    unsafe { sys!(sethostname(name.as_ptr(), name.len())) }.at(&[name]).map(drop)
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(chdir(path)) }.on(None, path).map(drop)
}

/// struct ifreq with flags, netdevice(7).
#[repr(C)]
pub struct IfReq {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Sets IFF_UP on an interface: ioctl(2) SIOCSIFFLAGS on a socket, netdevice(7).
pub fn set_interface_up(name: &[u8]) -> Result<()> {
    let mut request = IfReq { name: [0; 16], flags: libc::IFF_UP as u16, rest: [0; 22] };
    for (slot, byte) in request.name.iter_mut().take(15).zip(name) {
        *slot = *byte;
    }
    // SAFETY: numbers only
    let socket = Fd::own(unsafe { sys!(socket(libc::AF_INET, Socket::DGRAM | Socket::CLOEXEC, 0)) }.of(b"AF_INET")?);
    // SAFETY: struct ifreq, 40 bytes, as SIOCSIFFLAGS reads it
    unsafe { sys!(ioctl(socket.raw(), Ioctl::SIOCSIFFLAGS, &raw const request)) }.at(&[name]).map(drop)
}

/// nanosleep(2).
pub fn nanosleep(nanoseconds: i64) -> Result<()> {
    let time = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    // SAFETY: struct timespec is two i64 on 64-bit architectures
    unsafe { sys!(nanosleep(time.as_ptr(), 0usize)) }.of(b"").map(drop)
}

/// Asks for a stop with `signal`, and waits until it `has_stopped`, a second at most: on a busy machine, or in the midst of a
/// vfork(2), a process takes its time.
pub fn stop(pid: Pid, signal: i32, has_stopped: fn(Pid) -> bool) -> Result<()> {
    kill(pid, signal)?;
    for _ in 0..1000 {
        if has_stopped(pid) {
            break;
        }
        nanosleep(1_000_000)?;
    }
    Ok(())
}

/// Whether a child has stopped or ended: waitid(2), which leaves the news to whoever reaps.
pub fn has_stopped(child: Pid) -> bool {
    let options = libc::WSTOPPED | libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // siginfo_t, 128 bytes: without news, its number stays zero
    let mut news = [0u32; 32];
    // SAFETY: the kernel writes one siginfo_t; no usage is asked for
    let asked = unsafe { sys!(waitid(libc::P_PID, child.0, news.as_mut_ptr(), options, 0usize)) }.of(b"");
    asked.is_err() || news[0] != 0
}

/// A list of strings as execve(2) takes them: pointers, a null at the end. It is sized once, so that the child can fill
/// it without allocating.
pub struct Pointers {
    slots: Vec<*const c_char>,
}

impl Pointers {
    /// Room for `strings`.
    pub fn with_capacity(strings: usize) -> Pointers {
        let mut slots = Vec::with_capacity(strings + 1);
        slots.push(core::ptr::null());
        Pointers { slots }
    }

    /// Forgets the strings, keeps the room.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.slots.push(core::ptr::null());
    }

    /// Adds a string; `false` if there is no room left.
    #[inline(never)]
    pub fn push(&mut self, string: &'static CStr) -> bool {
        if self.slots.len() == self.slots.capacity() {
            return false;
        }
        if let Some(end) = self.slots.last_mut() {
            *end = string.as_ptr();
        }
        self.slots.push(core::ptr::null());
        true
    }

    /// How many strings it holds.
    pub fn len(&self) -> usize {
        self.slots.len() - 1
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// execve(2); it returns only if it fails.
pub fn execve(path: &CStr, argv: &Pointers, envp: &Pointers) -> crate::error::Error {
    // SAFETY: both lists end with a null, and what they hold lives forever
    let result = unsafe { sys!(execve(path, argv.slots.as_ptr(), envp.slots.as_ptr().cast::<usize>())) };
    match result.on(None, path) {
        Err(error) => error,
        Ok(_) => exit_group(125),
    }
}

/// exit_group(2).
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: it takes a number and does not return
        let _ = unsafe { sys!(exit_group(status)) };
    }
}

/// seccomp(2) SECCOMP_GET_ACTION_AVAIL: whether a filter may make a call fail with an errno of its choice.
pub fn has_seccomp() -> Result<()> {
    const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one word
    unsafe { sys!(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)) }.of(b"").map(drop)
}
