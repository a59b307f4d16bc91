//! Terminals: pseudo-terminals, window sizes, line settings; pty(7), ioctl_tty(2).

use super::Pid;
use super::files::{Fd, openat};
use super::flags::{Ioctl, OpenFlags, Socket};
use super::gate::sys;
use super::mounts::statx;
use crate::error::Result;
use core::ffi::CStr;

/// The line settings of a terminal: struct termios as the kernel has it (not libc's, which is larger).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Termios {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    characters: [u8; 19],
}

impl Termios {
    /// Every byte passes through as it is, in both directions; cfmakeraw(3).
    pub fn raw(mut self) -> Termios {
        self.input &= !(libc::IGNBRK
            | libc::BRKINT
            | libc::PARMRK
            | libc::ISTRIP
            | libc::INLCR
            | libc::IGNCR
            | libc::ICRNL
            | libc::IXON);
        self.output &= !libc::OPOST;
        self.local &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        self.control = self.control & !(libc::CSIZE | libc::PARENB) | libc::CS8;
        for (at, value) in [(libc::VMIN, 1), (libc::VTIME, 0)] {
            if let Some(slot) = self.characters.get_mut(at) {
                *slot = value;
            }
        }
        self
    }

    /// The signal that the terminal sends for a key among `bytes`; `None` if there is none, or keys send none. `quoted`:
    /// the key before was the one that quotes the next.
    pub fn signal_of(&self, bytes: &[u8], quoted: &mut bool) -> Option<i32> {
        let key = |at: usize| self.characters.get(at).copied().filter(|key| *key != 0);
        let quoting = libc::ICANON | libc::IEXTEN;
        let quotes = self.local & quoting == quoting;
        let mut signal = None;
        for &byte in bytes {
            let is = |at| !*quoted && key(at) == Some(byte);
            if is(libc::VINTR) {
                signal = Some(libc::SIGINT);
            } else if is(libc::VQUIT) {
                signal = Some(libc::SIGQUIT);
            }
            *quoted = quotes && is(libc::VLNEXT);
        }
        signal.filter(|_| self.local & libc::ISIG != 0)
    }

    /// The character that ends the input of a program, and whether the terminal makes lines. Programs that edit lines
    /// themselves take the same one.
    pub fn end_of_file(&self) -> Option<(u8, bool)> {
        self.characters.get(libc::VEOF).map(|end| (*end, self.local & libc::ICANON != 0))
    }
}

/// struct winsize: rows, columns, and two unused.
pub type WindowSize = [u16; 4];

/// TCGETS. `None`: not a terminal.
pub fn tcgets(fd: i32) -> Option<Termios> {
    let mut termios = core::mem::MaybeUninit::<Termios>::uninit();
    // SAFETY: the kernel fills one struct termios
    unsafe { sys!(ioctl(fd, Ioctl::TCGETS, termios.as_mut_ptr())) }.ok()?;
    // SAFETY: it has, for the call worked
    Some(unsafe { termios.assume_init() })
}

/// TCSETS: at once. (TCSETSW waits for what has been written, on a line that nobody reads forever.)
pub fn tcsets(fd: i32, termios: &Termios) -> Result<()> {
    // SAFETY: the kernel reads one struct termios
    unsafe { sys!(ioctl(fd, Ioctl::TCSETS, core::ptr::from_ref(termios))) }.of(b"TCSETS").map(drop)
}

/// TIOCGWINSZ. `None`: not a terminal.
pub fn window_size(fd: i32) -> Option<WindowSize> {
    let mut size = WindowSize::default();
    // SAFETY: the kernel fills one struct winsize, four u16
    unsafe { sys!(ioctl(fd, Ioctl::TIOCGWINSZ, size.as_mut_ptr())) }.ok()?;
    Some(size)
}

/// TIOCSWINSZ.
pub fn set_window_size(fd: &Fd, size: &WindowSize) -> Result<()> {
    // SAFETY: the kernel reads one struct winsize, four u16
    unsafe { sys!(ioctl(fd.raw(), Ioctl::TIOCSWINSZ, size.as_ptr())) }.of(b"TIOCSWINSZ").map(drop)
}

/// Opens a new pseudo-terminal of the devpts that `ptmx` belongs to, and unlocks it: the master.
pub fn open_pty(ptmx: &CStr) -> Result<Fd> {
    // A terminal whose program does not read takes no more, and must not hold up the relay.
    let master = openat(None, ptmx, OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::NONBLOCK)?;
    let unlocked = 0i32;
    // SAFETY: the kernel reads one int
    unsafe { sys!(ioctl(master.raw(), Ioctl::TIOCSPTLCK, &raw const unlocked)) }.of(b"TIOCSPTLCK")?;
    Ok(master)
}

/// TIOCGPTPEER: the side that programs see, opened without a path.
pub fn open_peer(master: &Fd) -> Result<Fd> {
    let flags = OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::CLOEXEC;
    // SAFETY: numbers only
    unsafe { sys!(ioctl(master.raw(), Ioctl::TIOCGPTPEER, flags)) }.of(b"TIOCGPTPEER").map(Fd::own)
}

/// Opens a stream once more to write to it, by its path in /proc/self/fd, if it is a terminal or a pipe: O_NONBLOCK is a
/// property of what open(2) makes, and that of a stream is shared with the caller.
pub fn open_again(fd: i32, path: &CStr) -> Option<Fd> {
    let is_pipe = || statx(None, path, true).is_ok_and(|status| status.kind() == libc::S_IFIFO);
    match tcgets(fd).is_some() || is_pipe() {
        true => openat(None, path, OpenFlags::WRONLY | OpenFlags::NOCTTY | OpenFlags::NONBLOCK).ok(),
        false => None,
    }
}

/// Makes `slave` the controlling terminal of a new session: setsid(2), TIOCSCTTY.
pub fn control(slave: &Fd) -> Result<()> {
    // SAFETY: it takes nothing
    unsafe { sys!(setsid()) }.of(b"")?;
    // SAFETY: numbers only
    unsafe { sys!(ioctl(slave.raw(), Ioctl::TIOCSCTTY, 0)) }.of(b"TIOCSCTTY").map(drop)
}

/// Puts this process in a group of its own and, with a terminal on stdin, in its foreground: setpgid(2), TIOCSPGRP.
/// SIGTTOU must be blocked.
pub fn to_foreground(own: Pid) -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(setpgid(0, 0)) }.of(b"")?;
    // SAFETY: the kernel reads one int
    unsafe { sys!(ioctl(0, Ioctl::TIOCSPGRP, &raw const own.0)) }.of(b"TIOCSPGRP").map(drop)
}

/// TIOCGPGRP: the foreground group of the terminal that `fd` is one side of.
pub fn foreground(fd: i32) -> Option<Pid> {
    let mut group = 0i32;
    // SAFETY: the kernel writes one int
    unsafe { sys!(ioctl(fd, Ioctl::TIOCGPGRP, &raw mut group)) }.ok()?;
    Some(Pid(group))
}

/// Whether stdin is this session's terminal, and another group is in its foreground: whoever changes settings from here is
/// stopped. A group that has no number here, as that of another PID namespace, is left to the kernel's judgement.
pub fn in_background() -> bool {
    // SAFETY: numbers only; it cannot fail for the caller
    let own = unsafe { sys!(getpgid(0)) }.ok();
    foreground(0).is_some_and(|group| group.0 != 0 && own != Some(group.0 as usize))
}

/// dup3(2) without flags: `number` becomes a copy, one that stays open across execve.
pub fn dup_to(fd: &Fd, number: i32) -> Result<()> {
    // SAFETY: numbers only
    unsafe { sys!(dup3(fd.raw(), number, 0)) }.of(b"").map(drop)
}

/// socketpair(2): AF_UNIX, which can carry a descriptor, SOCK_SEQPACKET, which has an end of file.
pub fn socketpair() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    let kind = Socket::SEQPACKET | Socket::CLOEXEC;
    // SAFETY: the kernel writes two descriptors into an array of two
    unsafe { sys!(socketpair(libc::AF_UNIX, kind, 0, &raw mut ends)) }.of(b"")?;
    Ok((Fd::own(ends[0] as usize), Fd::own(ends[1] as usize)))
}

/// One SCM_RIGHTS message with one descriptor: cmsghdr (16 bytes), the int, padding; unix(7), cmsg(3).
#[repr(C)]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

const RIGHTS_LEN: usize = 20;

/// sendmsg(2) of one descriptor and what is to be said of it: at least one byte.
pub fn send_fd(socket: &Fd, fd: &Fd, bytes: &[u8]) -> Result<()> {
    let mut rights =
        Rights { len: RIGHTS_LEN, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fd: fd.raw(), padding: 0 };
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    with_message(&mut rights, part, |message| {
        // SAFETY: the message's parts live as long as the closure, and none is written to
        unsafe { sys!(sendmsg(socket.raw(), message, 0)) }.of(b"SCM_RIGHTS").map(drop)
    })
}

/// recvmsg(2) of one descriptor and what was said of it, as much as goes into `bytes`; `None` if the other end is closed.
pub fn receive_fd(socket: &Fd, bytes: &mut [u8]) -> Result<Option<Fd>> {
    let mut rights = Rights { len: 0, level: 0, kind: 0, fd: -1, padding: 0 };
    let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let n = with_message(&mut rights, part, |message| {
        // SAFETY: the message's parts live as long as the closure, and are ours to write
        unsafe { sys!(recvmsg(socket.raw(), message, libc::MSG_CMSG_CLOEXEC)) }.of(b"SCM_RIGHTS")
    })?;
    Ok((n > 0 && rights.len == RIGHTS_LEN && rights.kind == libc::SCM_RIGHTS).then(|| Fd::own(rights.fd as usize)))
}

fn with_message<T>(rights: &mut Rights, mut part: libc::iovec, f: impl FnOnce(*mut libc::msghdr) -> T) -> T {
    // SAFETY: a msghdr of zeros is one without a name, parts or control data
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = core::ptr::from_mut(rights).cast();
    message.msg_controllen = size_of::<Rights>() as _;
    f(&raw mut message)
}
