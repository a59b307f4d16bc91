//! The user's terminal and the container's: settings, sizes, and the bytes between them.

use crate::error::{Errno, Error, Result};
use crate::sys::{self, Fd, Pid, Poll, Termios};
use alloc::vec::Vec;

/// A write of at most this much to a pipe that poll calls writable does not block (PIPE_BUF, pipe(7)). What a terminal
/// gives in one read is one byte less.
const AT_ONCE: usize = 4096;

/// How long it takes at first until a terminal without input is looked at again, and at most; milliseconds.
const PAUSES: [u32; 2] = [10, 1000];

/// Bytes on their way from one side to the other.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// For so many reads.
    fn new(reads: usize) -> Self {
        Buffer { bytes: alloc::vec![0; reads * AT_ONCE], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn has_room(&self) -> bool {
        self.bytes.len() - self.end >= AT_ONCE
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// One read(2): how much has come, 0 at the end, `None` where nothing is there.
    fn fill(&mut self, from: i32) -> Result<Option<usize>> {
        let n = sys::read_now(from, self.bytes.get_mut(self.end..).unwrap_or_default())?;
        self.end += n.unwrap_or(0);
        Ok(n)
    }

    /// One write(2), of this much at most; gives what was written.
    fn empty(&mut self, into: i32, most: usize) -> Result<&[u8]> {
        let start = self.start;
        let next = self.bytes.get(start..self.end.min(start.saturating_add(most))).unwrap_or_default();
        let end = start + sys::write_now(into, next)?.unwrap_or(0);
        self.start = end;
        if self.is_empty() {
            self.clear();
        }
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }
}

/// Both sides of the container's terminal. With the side that programs see open here, too, a program may close its
/// streams and open `/dev/tty` later; and it can be seen whether there is input that nobody has read.
struct Pty {
    master: Fd,
    slave: Fd,
}

/// The relay between the user's streams and the container's terminal.
pub struct Terminal {
    /// `None` once nobody can write to it any more.
    pty: Option<Pty>,
    /// stdout, if it is a terminal or a pipe, opened again so that a write to it cannot block, however large it is.
    again: Option<Fd>,
    /// The user's settings, while they are not in force.
    saved: Option<Termios>,
    input: Buffer,
    output: Buffer,
    /// stdin has not ended.
    input_open: bool,
    /// The end of input has been passed on.
    end_told: bool,
    /// Milliseconds until the next look whether it must be told again.
    pause: u32,
    /// Something has come out since.
    answered: bool,
    /// Why stdout took nothing any more, if that is worth a word.
    lost: Option<Error>,
    /// What has gone in last was the key that quotes the next.
    quoted: bool,
}

impl Terminal {
    /// Takes the container's side over.
    pub fn new(master: Fd) -> Result<Terminal> {
        let slave = sys::open_peer(&master)?;
        let again = sys::open_again(1, c"/proc/self/fd/1");
        let reads = if again.is_some() { 16 } else { 2 };
        Ok(Terminal {
            pty: Some(Pty { master, slave }),
            again,
            saved: None,
            input: Buffer::new(2),
            output: Buffer::new(reads),
            input_open: true,
            end_told: false,
            pause: 1,
            answered: true,
            lost: None,
            quoted: false,
        })
    }

    /// Gives the container's terminal the user's size; the kernel tells the programs in it.
    pub fn resize(&self) -> Result<()> {
        match ((0..=2).find_map(sys::window_size), &self.pty) {
            (Some(size), Some(pty)) => sys::set_window_size(&pty.master, &size),
            _ => Ok(()),
        }
    }

    /// The container's terminal does the echo, the line editing and the Ctrl-C; the user's must not do them too.
    pub fn enter_raw_mode(&mut self) -> Result<()> {
        // A stop that nobody could see may have left the user's own settings in force.
        if let Some(termios) = self.saved.or_else(|| sys::tcgets(0)).filter(|_| !sys::in_background()) {
            sys::tcsets(0, &termios.raw())?;
            self.saved = Some(termios);
        }
        Ok(())
    }

    /// What must be said about the output that was lost.
    pub fn loss(&self) -> Result<()> {
        self.lost.map_or(Ok(()), Err)
    }

    /// The one place where the user's settings come back. In the background, who is in the foreground has set his own.
    pub fn restore(&mut self) -> Result<()> {
        match self.saved.take().filter(|_| !sys::in_background()) {
            Some(termios) => sys::tcsets(0, &termios),
            None => Ok(()),
        }
    }

    /// What to wait for: stdin, stdout, the master.
    pub fn interest(&self) -> [Poll; 3] {
        let (master, open) = self.pty.as_ref().map_or((-1, false), |pty| (pty.master.raw(), true));
        [
            Poll::new(0, open && self.input_open && self.input.is_empty(), false),
            Poll::new(self.stdout(), false, !self.output.is_empty()),
            Poll::new(master, open && self.output.has_room(), open && !self.input.is_empty()),
        ]
    }

    /// How long to wait for it, in milliseconds.
    pub fn patience(&self) -> Option<u32> {
        self.input_is_over().then_some(self.pause)
    }

    fn stdout(&self) -> i32 {
        self.again.as_ref().map_or(1, Fd::raw)
    }

    /// Moves what can be moved. Returns the signal that the container's terminal has sent to its foreground group because
    /// of it: SIGINT or SIGQUIT for a key, SIGHUP when stdout or the user's terminal is gone, and this one with it.
    pub fn relay(&mut self, [stdin, stdout, master]: [Poll; 3]) -> Option<i32> {
        // As long as more comes, it is collected: who reads the other end is woken once for all of it.
        let collects = master.can_read() && self.again.is_some();
        if stdout.can_write() && !collects && !self.write_output() {
            return Some(libc::SIGHUP);
        }
        // After as much as a terminal gives at once, there is more as a rule.
        if master.can_read() {
            while self.read_output(false) >= AT_ONCE - 1 && self.output.has_room() {}
        }
        let was_over = self.input_is_over();
        if stdin.can_read() {
            // A stdin that cannot be read has ended, too.
            self.input_open = self.input.fill(0).is_ok_and(|n| n != Some(0));
            // A raw terminal has no end of input, and is gone; its signal may be on the way.
            if !self.input_open && self.saved.is_some() && !sys::in_background() {
                return Some(libc::SIGHUP);
            }
        }
        let pressed = if master.can_write() { self.write_input() } else { None };
        if !was_over && self.input_is_over() {
            self.tell_end();
        }
        pressed
    }

    fn input_is_over(&self) -> bool {
        self.pty.is_some() && !self.input_open && self.input.is_empty()
    }

    /// What there is to do when nothing has come for as long as [`Terminal::patience`] says.
    pub fn look_again(&mut self) {
        let [_, most] = PAUSES;
        self.pause = (2 * self.pause).min(most);
        self.tell_end();
    }

    /// The command has ended, and all that were with it: what they have written is there, and no more can come. Whether
    /// all of it has been passed on.
    pub fn is_drained(&mut self) -> bool {
        self.input_open = false;
        self.input.clear();
        if self.output.has_room() {
            self.read_output(true);
        }
        self.pty.is_none() && self.output.is_empty()
    }

    /// Whether `pid` leads the foreground group: a key's signal goes there.
    pub fn is_in_foreground(&self, pid: Pid) -> bool {
        self.pty.as_ref().and_then(|pty| sys::foreground(pty.master.raw())) == Some(pid)
    }

    fn write_input(&mut self) -> Option<i32> {
        let master = self.pty.as_ref()?.master.raw();
        let settings = sys::tcgets(master);
        let written = self.input.empty(master, AT_ONCE).unwrap_or_default();
        settings.and_then(|settings| settings.signal_of(written, &mut self.quoted))
    }

    /// The end of a file, as a terminal says it: with a key. It ends one read, and in the middle of a line only that line;
    /// so it is told again when it has been read, until the command ends. A program that edits lines takes the terminal
    /// out of line mode, and with it an end that was told there is lost. It takes the key itself, as one that reads bytes
    /// does for a byte; so it is told again only after an answer, a prompt.
    fn tell_end(&mut self) {
        let Some(Pty { master, slave }) = &self.pty else { return };
        let Some((end, lines)) = sys::tcgets(master.raw()).and_then(|termios| termios.end_of_file()) else { return };
        let unread = || sys::poll(&mut [Poll::new(slave.raw(), true, false)], Some(0)).unwrap_or(false);
        let tell = if lines { !self.end_told || !unread() } else { self.answered && !unread() };
        if tell && let Ok(Some(_)) = sys::write_now(master.raw(), &[end]) {
            (self.end_told, self.answered) = (true, false);
            if lines {
                [self.pause, _] = PAUSES;
            }
        }
    }

    /// One read, and how much it gave. `last`: what is not there now will never be.
    fn read_output(&mut self, last: bool) -> usize {
        let Some(pty) = &self.pty else { return 0 };
        match self.output.fill(pty.master.raw()) {
            Ok(Some(n)) if n > 0 => {
                self.answered = true;
                return n;
            }
            Ok(None) if !last => {}
            _ => self.pty = None,
        }
        0
    }

    /// `false`: stdout takes nothing any more.
    fn write_output(&mut self) -> bool {
        let most = if self.again.is_some() { usize::MAX } else { AT_ONCE };
        match self.output.empty(self.stdout(), most) {
            Ok(_) => true,
            Err(e) => {
                self.lost = Some(e.about(b"stdout")).filter(|e| !e.is(Errno::EPIPE) && !e.is(Errno::EIO));
                self.output.clear();
                false
            }
        }
    }

    /// Closes the container's side: whoever is left there gets SIGHUP, and EIO.
    pub fn hang_up(&mut self) {
        self.pty = None;
        self.input.clear();
    }
}
