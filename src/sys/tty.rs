//! Terminals: pseudo-terminals, window sizes, line settings; pty(7), ioctl_tty(2).

use super::cred::Pid;
use super::fd::{Fd, FdRef};
use super::flags::{AtFlags, Ioctl, OpenFlags};
use super::fs;
use super::gate::About::Text;
use super::gate::{Int, Object, call};
use super::stat;
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

impl Object for Termios {}

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
        self.characters[libc::VMIN] = 1;
        self.characters[libc::VTIME] = 0;
        self
    }

    /// The signal that the terminal sends for a key among `bytes`; `None` if no byte is such a key, or ISIG is off. `quoted`:
    /// the byte before was VLNEXT, which quotes the next.
    pub fn signal_of(&self, bytes: &[u8], quoted: &mut bool) -> Option<i32> {
        let quoting = libc::ICANON | libc::IEXTEN;
        let quotes = self.local & quoting == quoting;
        let mut signal = None;
        for &byte in bytes {
            let is = |key: u8| !*quoted && key != 0 && key == byte;
            if is(self.characters[libc::VINTR]) {
                signal = Some(libc::SIGINT);
            } else if is(self.characters[libc::VQUIT]) {
                signal = Some(libc::SIGQUIT);
            }
            *quoted = quotes && is(self.characters[libc::VLNEXT]);
        }
        signal.filter(|_| self.local & libc::ISIG != 0)
    }

    /// The character that ends the input of a program, and whether the terminal makes lines. Programs that edit lines
    /// themselves take the same one.
    pub fn end_of_file(&self) -> (u8, bool) {
        (self.characters[libc::VEOF], self.local & libc::ICANON != 0)
    }
}

/// struct winsize: rows, columns, and two unused.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct WindowSize([u16; 4]);

impl Object for WindowSize {}

impl WindowSize {
    /// How many columns it has. 0: it is not known.
    pub fn columns(&self) -> usize {
        self.0[1].into()
    }
}

/// TCGETS. `None`: not a terminal.
pub fn tcgets(fd: FdRef) -> Option<Termios> {
    let mut termios = Termios { input: 0, output: 0, control: 0, local: 0, line: 0, characters: [0; 19] };
    // SAFETY: the kernel fills one struct termios
    unsafe { call!(ioctl(fd, Ioctl::TCGETS, &mut termios)) }.ok()?;
    Some(termios)
}

/// TCSETS: at once. (TCSETSW waits until the output is read, which may be never.)
pub fn tcsets(fd: FdRef, termios: &Termios) -> Result<()> {
    // SAFETY: the kernel reads one struct termios
    unsafe { call!(ioctl(fd, Ioctl::TCSETS, termios)) }.about(Text(b"TCSETS")).map(drop)
}

/// TIOCGWINSZ. `None`: not a terminal.
pub fn window_size(fd: FdRef) -> Option<WindowSize> {
    let mut size = WindowSize::default();
    // SAFETY: the kernel fills one struct winsize
    unsafe { call!(ioctl(fd, Ioctl::TIOCGWINSZ, &mut size)) }.ok()?;
    Some(size)
}

/// TIOCSWINSZ.
pub fn set_window_size(fd: FdRef, size: &WindowSize) -> Result<()> {
    // SAFETY: the kernel reads one struct winsize
    unsafe { call!(ioctl(fd, Ioctl::TIOCSWINSZ, size)) }.about(Text(b"TIOCSWINSZ")).map(drop)
}

/// Opens a new pseudo-terminal of the devpts that `ptmx` belongs to, and unlocks it: the master.
pub fn open_pty(ptmx: &CStr) -> Result<Fd> {
    // O_NONBLOCK: a terminal whose program does not read is full, and a write to it must not block the relay.
    let master = fs::open(ptmx, OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::NONBLOCK)?;
    // SAFETY: the kernel reads one int
    unsafe { call!(ioctl(master.borrow(), Ioctl::TIOCSPTLCK, &Int(0))) }.about(Text(b"TIOCSPTLCK"))?;
    Ok(master)
}

/// TIOCGPTPEER: the side that programs see, opened without a path.
pub fn open_peer(master: FdRef) -> Result<Fd> {
    let flags = OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::CLOEXEC;
    // SAFETY: this request takes flags
    unsafe { call!(ioctl(master, Ioctl::TIOCGPTPEER, flags)) }.about(Text(b"TIOCGPTPEER")).map(Fd::own)
}

/// Opens a stream again to write to it, by its path in /proc/self/fd, if it is a terminal or a pipe. O_NONBLOCK belongs to the
/// open file description (open(2)), and that of the stream itself is shared with the caller.
pub fn open_again(stream: FdRef) -> Option<Fd> {
    let name = fs::name_in_proc(stream);
    let path = name.as_c_str()?;
    let is_pipe = || stat::statx(FdRef::CWD, path, AtFlags::NONE).is_ok_and(|status| status.kind() == libc::S_IFIFO);
    match tcgets(stream).is_some() || is_pipe() {
        true => fs::open(path, OpenFlags::WRONLY | OpenFlags::NOCTTY | OpenFlags::NONBLOCK).ok(),
        false => None,
    }
}

/// TIOCSCTTY: makes `slave` the controlling terminal of the session that this process leads.
pub fn control(slave: FdRef) -> Result<()> {
    // SAFETY: this request takes a number
    unsafe { call!(ioctl(slave, Ioctl::TIOCSCTTY, 0)) }.about(Text(b"TIOCSCTTY")).map(drop)
}

/// TIOCSPGRP: puts the group that this process leads into the foreground of the terminal on stdin. SIGTTOU must be blocked.
pub fn to_foreground(own: Pid) -> Result<()> {
    // SAFETY: the kernel reads one int
    unsafe { call!(ioctl(FdRef::STDIN, Ioctl::TIOCSPGRP, &Int(own.0))) }.about(Text(b"TIOCSPGRP")).map(drop)
}

/// TIOCGPGRP: the foreground group of the terminal that `fd` is one side of.
pub fn foreground(fd: FdRef) -> Option<Pid> {
    let mut group = Int(0);
    // SAFETY: the kernel writes one int
    unsafe { call!(ioctl(fd, Ioctl::TIOCGPGRP, &mut group)) }.ok()?;
    Some(Pid(group.0))
}

/// Whether stdin is the terminal of this session, and another group is in its foreground: then the kernel stops a process that
/// changes settings. A group of another PID namespace has the number 0 here; then the answer is no, and the kernel decides.
pub fn in_background() -> bool {
    // SAFETY: the call takes a number: 0 is the caller, for whom it cannot fail
    let own = unsafe { call!(getpgid(0)) }.ok();
    foreground(FdRef::STDIN).is_some_and(|group| group.0 != 0 && own != Some(group.0 as usize))
}
