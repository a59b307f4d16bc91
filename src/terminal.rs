//! The user's terminal and the container's: settings, sizes, and the bytes between them.

use crate::error::{Errno, Error, Result};
use crate::sys::{self, Fd, Pid, Ready, Termios};
use alloc::vec::Vec;

/// A write of at most this much to a pipe that poll calls writable does not block (PIPE_BUF, pipe(7)).
const AT_ONCE: usize = 4096;
const SIZE: usize = 16 * 1024;

/// Bytes on their way from one side to the other.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Buffer { bytes: alloc::vec![0; SIZE], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn has_room(&self) -> bool {
        self.bytes.len() - self.end >= AT_ONCE
    }

    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    fn filled(&mut self, n: usize) {
        self.end += n;
    }

    fn next(&self) -> &[u8] {
        let end = self.end.min(self.start + AT_ONCE);
        self.bytes.get(self.start..end).unwrap_or_default()
    }

    fn taken(&mut self, n: usize) {
        self.start += n;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }
}

/// The relay between the user's streams and the container's terminal.
pub struct Terminal {
    /// The container's side; `None` once nobody can write to it any more.
    master: Option<Fd>,
    /// The user's settings, while they are not in force.
    saved: Option<Termios>,
    input: Buffer,
    output: Buffer,
    /// stdin has not ended.
    input_open: bool,
    /// The end of input has been passed on, once to a program that reads lines and once to one that edits them.
    end_told: bool,
    end_told_to_editor: bool,
    /// Why stdout took nothing any more, if that is worth a word.
    lost: Option<Error>,
    /// What has gone in last was a whole line.
    at_line_start: bool,
    /// What has gone in last was the key that quotes the next.
    quoted: bool,
}

impl Terminal {
    /// Takes the container's side over: its size first, then raw mode if stdin is a terminal.
    pub fn new(master: Fd) -> Result<Terminal> {
        let mut terminal = Terminal {
            master: Some(master),
            saved: None,
            input: Buffer::new(),
            output: Buffer::new(),
            input_open: true,
            end_told: false,
            end_told_to_editor: false,
            lost: None,
            at_line_start: true,
            quoted: false,
        };
        terminal.resize()?;
        terminal.enter_raw_mode()?;
        Ok(terminal)
    }

    /// Gives the container's terminal the user's size; the kernel tells the programs in it.
    pub fn resize(&self) -> Result<()> {
        match ((0..=2).find_map(sys::window_size), &self.master) {
            (Some(size), Some(master)) => sys::set_window_size(master, &size),
            _ => Ok(()),
        }
    }

    /// The container's terminal does the echo, the line editing and the Ctrl-C; the user's must not do them too.
    pub fn enter_raw_mode(&mut self) -> Result<()> {
        // A stop that nobody could see may have left the user's own settings in force.
        if let Some(termios) = self.saved.or_else(|| sys::tcgets(0)) {
            sys::tcsetsw(0, &termios.raw())?;
            self.saved = Some(termios);
        }
        Ok(())
    }

    /// What must be said about the output that was lost.
    pub fn loss(&self) -> Result<()> {
        self.lost.map_or(Ok(()), Err)
    }

    /// The one place where the user's settings come back.
    pub fn restore(&mut self) -> Result<()> {
        match self.saved.take() {
            Some(termios) => sys::tcsetsw(0, &termios),
            None => Ok(()),
        }
    }

    /// What to wait for: stdin, stdout, the master; each with interest in reading and in writing.
    pub fn interest(&self) -> [(i32, bool, bool); 3] {
        let master = self.master.as_ref().map_or(-1, Fd::raw);
        let open = self.master.is_some();
        let telling = !self.input_open && !self.end_told;
        [
            (0, open && self.input_open && self.input.is_empty(), false),
            (1, false, !self.output.is_empty()),
            (master, open && self.output.has_room(), open && (!self.input.is_empty() || telling)),
        ]
    }

    /// Whether all that the container's programs have written has been passed on, and no more can come.
    pub fn is_drained(&self) -> bool {
        self.master.is_none() && self.output.is_empty()
    }

    /// Moves what can be moved. Returns the signal that the container's terminal has sent to its foreground group because
    /// of it: SIGINT or SIGQUIT for a key, SIGHUP when stdout is gone and the terminal with it.
    pub fn relay(&mut self, [stdin, stdout, master]: [Ready; 3]) -> Option<i32> {
        if stdin.read {
            self.read_input();
        }
        let pressed = if master.write { self.write_input() } else { None };
        if master.read {
            self.read_output();
        }
        match stdout.write {
            true if !self.write_output() => Some(libc::SIGHUP),
            _ => pressed,
        }
    }

    /// Whether `pid` leads the foreground group: a key's signal goes there.
    pub fn is_in_foreground(&self, pid: Pid) -> bool {
        self.master.as_ref().and_then(sys::foreground) == Some(pid)
    }

    fn read_input(&mut self) {
        match sys::read_raw(0, self.input.room()) {
            Ok(n) if n > 0 => self.input.filled(n),
            // A stdin that cannot be read has ended, too.
            _ => self.input_open = false,
        }
    }

    fn write_input(&mut self) -> Option<i32> {
        let master = self.master.as_ref()?;
        if self.input.is_empty() {
            self.tell_end();
            return None;
        }
        let settings = sys::tcgets(master.raw());
        let n = match sys::write(master.raw(), self.input.next()) {
            Ok(n) => n,
            Err(e) if e.is(Errno::EAGAIN) => return None,
            Err(_) => {
                self.hang_up();
                return None;
            }
        };
        let written = self.input.next().get(..n).unwrap_or_default();
        let pressed = settings.and_then(|settings| settings.signal_of(written, &mut self.quoted));
        self.at_line_start = written.last() == Some(&b'\n');
        self.input.taken(n);
        pressed
    }

    /// The end of a file, as a terminal says it: in the middle of a line the first one only ends the line.
    fn tell_end(&mut self) {
        let Some(master) = &self.master else { return };
        let Some((end, lines)) = sys::tcgets(master.raw()).and_then(|termios| termios.end_of_file()) else { return };
        let count = if lines && !self.at_line_start { 2 } else { 1 };
        match sys::write(master.raw(), [end; 2].get(..count).unwrap_or_default()) {
            Ok(_) if lines => self.end_told = true,
            Ok(_) => (self.end_told, self.end_told_to_editor) = (true, true),
            Err(e) if e.is(Errno::EAGAIN) => {}
            Err(_) => self.hang_up(),
        }
    }

    /// A shell that edits its lines takes the terminal out of line mode, and with it the end that was told there is lost.
    fn tell_editor(&mut self) {
        let edits =
            |master: &Fd| sys::tcgets(master.raw()).and_then(|t| t.end_of_file()).is_some_and(|(_, lines)| !lines);
        if self.end_told && !self.end_told_to_editor && self.master.as_ref().is_some_and(edits) {
            self.tell_end();
        }
    }

    fn read_output(&mut self) {
        let Some(master) = &self.master else { return };
        match sys::read_raw(master.raw(), self.output.room()) {
            Ok(n) if n > 0 => {
                self.output.filled(n);
                self.tell_editor();
            }
            Err(e) if e.is(Errno::EAGAIN) => {}
            // EIO: the last program has closed it.
            _ => self.hang_up(),
        }
    }

    /// `false`: stdout takes nothing any more.
    fn write_output(&mut self) -> bool {
        match sys::write(1, self.output.next()) {
            Ok(n) => self.output.taken(n),
            Err(e) if e.is(Errno::EAGAIN) => {}
            Err(e) => {
                self.lost = Some(e).filter(|e| !e.is(Errno::EPIPE) && !e.is(Errno::EIO));
                self.output.taken(self.output.end - self.output.start);
                return false;
            }
        }
        true
    }

    /// Closes the container's side: whoever is left there gets SIGHUP, and EIO.
    pub fn hang_up(&mut self) {
        self.master = None;
        self.input.taken(self.input.end - self.input.start);
    }
}
