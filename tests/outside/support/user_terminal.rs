//! The user's terminal: a pseudo-terminal that a case starts mydocker in, with keys to press, a screen to read and
//! settings to compare.

use crate::support::harness::{Run, Running, contains};
use crate::support::processes::timeout;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::{AsRawFd, OwnedFd};

/// A terminal: the side with the keyboard and the screen, and the side that programs see.
pub struct UserTerminal {
    keys: OwnedFd,
    pub side: OwnedFd,
    seen: Vec<u8>,
}

/// Line settings: the four sets of flags, and the control characters.
pub type Settings = ([libc::tcflag_t; 4], Vec<libc::cc_t>);

fn termios_of(terminal: &impl AsRawFd) -> libc::termios {
    // SAFETY: tcgetattr fills one struct termios, and all zeros are a valid one
    unsafe {
        let mut termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &mut termios), 0, "tcgetattr");
        termios
    }
}

/// The line settings of any terminal.
pub fn settings_of(terminal: &impl AsRawFd) -> Settings {
    let t = termios_of(terminal);
    ([t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag], t.c_cc.to_vec())
}

impl UserTerminal {
    /// A terminal of 24 rows and 80 columns, whose settings differ from the kernel's defaults: Ctrl-G ends a line, and
    /// UTF-8 is on.
    pub fn new() -> UserTerminal {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        unlockpt(&keys).expect("unlockpt");
        let name = ptsname(&keys, Vec::new()).expect("ptsname");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("the terminal");
        let terminal = UserTerminal { keys, side, seen: Vec::new() };
        terminal.resize(24, 80);
        let mut own = terminal.termios();
        own.c_cc[libc::VEOL2] = 7;
        own.c_iflag |= libc::IUTF8;
        terminal.set(&own);
        terminal
    }

    /// A descriptor of the side that programs see.
    pub fn stream(&self) -> OwnedFd {
        self.side.try_clone().expect("dup")
    }

    /// A descriptor of the side with the keyboard.
    pub fn keyboard_side(&self) -> OwnedFd {
        self.keys.try_clone().expect("dup")
    }

    /// For a process between fork and exec: leads a session on the terminal that is its stream `number`.
    pub fn lead_session(number: i32) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
        move || {
            // SAFETY: the calls take integers
            let done = unsafe { libc::setsid() >= 0 && libc::ioctl(number, libc::TIOCSCTTY as _, 0) == 0 };
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        }
    }

    pub fn press(&self, keys: &[u8]) {
        rustix::io::write(&self.keys, keys).expect("write to the terminal");
    }

    /// Reads the screen until it contains `text`.
    #[track_caller]
    pub fn await_screen(&mut self, text: &str) {
        while !contains(&self.seen, text.as_bytes()) {
            let arrived = self.read_some(timeout().as_millis() as i64);
            assert!(arrived, "{text:?} never appeared; the screen: {:?}", String::from_utf8_lossy(&self.seen));
        }
    }

    /// Reads the screen until `text` has appeared `count` times; `false` if the screen ends before that.
    pub fn await_count(&mut self, text: &str, count: usize) -> bool {
        while self.count(text) < count {
            if !self.read_some(timeout().as_millis() as i64) {
                return false;
            }
        }
        true
    }

    /// Reads what is on the screen by now, and returns everything that has ever been on it.
    pub fn screen(&mut self) -> String {
        while self.read_some(50) {}
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads a part of the screen, if any arrives within this time.
    fn read_some(&mut self, milliseconds: i64) -> bool {
        let timeout = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
        let ready = poll(&mut [PollFd::new(&self.keys, PollFlags::IN)], Some(&timeout)).expect("poll");
        let mut block = [0; 4096];
        let count = if ready > 0 { rustix::io::read(&self.keys, &mut block).unwrap_or(0) } else { 0 };
        self.seen.extend_from_slice(&block[..count]);
        count > 0
    }

    pub fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.seen).matches(text).count()
    }

    /// Changes its size, as a window does.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keys, size).expect("TIOCSWINSZ");
    }

    pub fn termios(&self) -> libc::termios {
        termios_of(&self.side)
    }

    pub fn set(&self, termios: &libc::termios) {
        // SAFETY: tcsetattr reads one struct termios
        assert_eq!(unsafe { libc::tcsetattr(self.side.as_raw_fd(), libc::TCSANOW, termios) }, 0, "tcsetattr");
    }

    pub fn settings(&self) -> Settings {
        settings_of(&self.side)
    }

    /// Whether input passes byte by byte, without echo, line mode or signals.
    pub fn is_raw(&self) -> bool {
        let t = self.termios();
        t.c_lflag & (libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN) == 0
            && t.c_iflag & (libc::ICRNL | libc::IXON | libc::ISTRIP) == 0
            && t.c_oflag & libc::OPOST == 0
    }

    /// How many bytes a program that reads this terminal would get.
    pub fn waiting_input(&self) -> i32 {
        let mut count = 0;
        // SAFETY: the ioctl writes one int of this frame
        assert_eq!(unsafe { libc::ioctl(self.side.as_raw_fd(), libc::FIONREAD as _, &mut count) }, 0, "FIONREAD");
        count
    }
}

/// A mydocker that leads a session on a terminal of its own, which is all three of its streams.
pub struct InTerminal {
    pub terminal: UserTerminal,
    pub running: Running,
}

pub fn in_terminal(run: Run) -> InTerminal {
    in_given_terminal(run, UserTerminal::new())
}

pub fn in_given_terminal(run: Run, terminal: UserTerminal) -> InTerminal {
    let streams = [terminal.stream(), terminal.stream(), terminal.stream()];
    let running = run.before(UserTerminal::lead_session(0)).start_on(streams);
    InTerminal { terminal, running }
}

impl InTerminal {
    pub fn press(&self, keys: &[u8]) {
        self.terminal.press(keys);
    }

    #[track_caller]
    pub fn await_screen(&mut self, text: &str) {
        self.terminal.await_screen(text);
    }

    pub fn count(&self, text: &str) -> usize {
        self.terminal.count(text)
    }
}
