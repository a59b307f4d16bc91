//! The user's terminal and the container's: settings, sizes, and the bytes between them. Sources: pty(7), termios(3).

use crate::error::{Errno, Error, Result};
use crate::root::own;
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, Fd, FdRef, MountFlags, Pid, Poll, Termios};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A write of at most this much to a pipe that poll calls writable does not block (PIPE_BUF, pipe(7)). What a terminal
/// gives in one read is one byte less.
const AT_ONCE: usize = 4096;

/// How long to wait before looking again at a terminal whose input has ended: at first, and at most; milliseconds.
const PAUSES: [u32; 2] = [10, 1000];

/// Bytes on their way from one side to the other.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer with room for this number of reads.
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

    /// One read(2): how much has come, 0 at the end, `None` if nothing is there now.
    fn fill(&mut self, from: FdRef) -> Result<Option<usize>> {
        let n = sys::read_now(from, self.bytes.get_mut(self.end..).unwrap_or_default())?;
        self.end += n.unwrap_or(0);
        Ok(n)
    }

    /// One write(2), of `most` bytes at most; returns what was written.
    fn drain(&mut self, into: FdRef, most: usize) -> Result<&[u8]> {
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

/// Both sides of the container's terminal. As the side that programs see is open here too, a program may close its streams
/// and open `/dev/tty` later; and mydocker can see whether there is input that nobody has read.
struct Pty {
    master: Fd,
    slave: Fd,
}

/// The relay between the user's streams and the container's terminal.
pub struct Terminal {
    /// `None` when no process can write to it any more, or it has been hung up.
    pty: Option<Pty>,
    /// stdout, if it is a terminal or a pipe, opened again so that a write cannot block, however large it is.
    again: Option<Fd>,
    /// The settings of the user's terminal, while it is raw.
    saved: Option<Termios>,
    input: Buffer,
    output: Buffer,
    /// stdin has not ended.
    input_open: bool,
    /// The end of the input has been passed on.
    eof_sent: bool,
    /// Milliseconds until the next check whether it must be sent again.
    pause: u32,
    /// The command has written something since then.
    answered: bool,
    /// Why output was lost, if the user should know.
    lost: Option<Error>,
    /// The last key was the one that quotes the next.
    quoted: bool,
}

impl Terminal {
    /// Takes over the master of the container's terminal.
    pub fn new(master: Fd) -> Result<&'static mut Terminal> {
        let slave = sys::open_peer(master.borrow())?;
        let again = sys::open_again(FdRef::STDOUT);
        let reads = if again.is_some() { 16 } else { 2 };
        Ok(Box::leak(Box::new(Terminal {
            pty: Some(Pty { master, slave }),
            again,
            saved: None,
            input: Buffer::new(2),
            output: Buffer::new(reads),
            input_open: true,
            eof_sent: false,
            pause: 1,
            answered: true,
            lost: None,
            quoted: false,
        })))
    }

    /// Gives the container's terminal the user's size; the kernel tells the programs in it.
    pub fn resize(&self) -> Result<()> {
        let Some(pty) = &self.pty else { return Ok(()) };
        for stream in &FdRef::STREAMS {
            if let Some(size) = sys::window_size(*stream) {
                return sys::set_window_size(pty.master.borrow(), &size);
            }
        }
        Ok(())
    }

    /// The container's terminal does the echo, the line editing and the Ctrl-C; the user's must not do them too.
    pub fn enter_raw_mode(&mut self) -> Result<()> {
        // A SIGSTOP, which cannot be caught, may have left the user's own settings in force: set them again.
        if let Some(termios) = self.saved.or_else(|| sys::tcgets(FdRef::STDIN)).filter(|_| !sys::in_background()) {
            sys::tcsets(FdRef::STDIN, &termios.raw())?;
            self.saved = Some(termios);
        }
        Ok(())
    }

    /// The error to report about output that was lost.
    pub fn loss(&self) -> Result<()> {
        self.lost.map_or(Ok(()), Err)
    }

    /// Restores the settings of the user's terminal, here and nowhere else. In the background they are left alone: those of the
    /// job in the foreground are in force.
    pub fn restore(&mut self) -> Result<()> {
        match self.saved.take().filter(|_| !sys::in_background()) {
            Some(termios) => sys::tcsets(FdRef::STDIN, &termios),
            None => Ok(()),
        }
    }

    /// The descriptors to poll: stdin, stdout, the master.
    pub fn poll_set(&self) -> [Poll; 3] {
        let master = self.pty.as_ref().map(|pty| pty.master.borrow());
        let open = master.is_some();
        [
            Poll::new(Some(FdRef::STDIN), open && self.input_open && self.input.is_empty(), false),
            Poll::new(Some(self.stdout()), false, !self.output.is_empty()),
            Poll::new(master, open && self.output.has_room(), open && !self.input.is_empty()),
        ]
    }

    /// How long to wait in poll, in milliseconds; `None`: without a limit.
    pub fn timeout(&self) -> Option<u32> {
        self.input_is_over().then_some(self.pause)
    }

    fn stdout(&self) -> FdRef<'_> {
        self.again.as_ref().map_or(FdRef::STDOUT, Fd::borrow)
    }

    /// Reads and writes what poll has found ready. Returns the signal that follows from it: SIGINT or SIGQUIT if a key has
    /// made the container's terminal send it to its foreground group, SIGHUP if stdout or the user's terminal is gone.
    pub fn relay(&mut self, [stdin, stdout, master]: [Poll; 3]) -> Option<i32> {
        // Collect output as long as more comes: then the reader of stdout is woken once for all of it.
        let collects = master.can_read() && self.again.is_some();
        if stdout.can_write() && !collects && !self.write_output() {
            return Some(libc::SIGHUP);
        }
        // If a read has filled what a terminal gives at once, there is usually more.
        if master.can_read() {
            while self.read_output(false) >= AT_ONCE - 1 && self.output.has_room() {}
        }
        let was_over = self.input_is_over();
        if stdin.can_read() {
            // A stdin that cannot be read has ended as well.
            self.input_open = self.input.fill(FdRef::STDIN).is_ok_and(|n| n != Some(0));
            // A raw terminal has no end of file: it is gone, and its SIGHUP may be on the way.
            if !self.input_open && self.saved.is_some() && !sys::in_background() {
                return Some(libc::SIGHUP);
            }
        }
        let pressed = if master.can_write() { self.write_input() } else { None };
        if !was_over && self.input_is_over() {
            self.send_eof();
        }
        pressed
    }

    fn input_is_over(&self) -> bool {
        self.pty.is_some() && !self.input_open && self.input.is_empty()
    }

    /// To be called when nothing has happened for as long as [`Terminal::timeout`] says.
    pub fn on_idle(&mut self) {
        let [_, most] = PAUSES;
        self.pause = (2 * self.pause).min(most);
        self.send_eof();
    }

    /// To be called once all processes of the container have ended: what they have written is in the terminal, and no more can
    /// come. Returns whether all of it has been written to stdout.
    pub fn is_drained(&mut self) -> bool {
        self.input_open = false;
        self.input.clear();
        if self.output.has_room() {
            self.read_output(true);
        }
        self.pty.is_none() && self.output.is_empty()
    }

    /// Whether `pid` leads the foreground group, which gets the signals of keys.
    pub fn is_in_foreground(&self, pid: Pid) -> bool {
        self.pty.as_ref().and_then(|pty| sys::foreground(pty.master.borrow())) == Some(pid)
    }

    fn write_input(&mut self) -> Option<i32> {
        let master = self.pty.as_ref()?.master.borrow();
        let settings = sys::tcgets(master);
        let written = self.input.drain(master, AT_ONCE).unwrap_or_default();
        settings.and_then(|settings| settings.signal_of(written, &mut self.quoted))
    }

    /// Sends the end of file as a terminal does: as a key. The key ends one read, and in the middle of a line only that line;
    /// so it is sent again whenever it has been read, until the command ends. A program that edits lines takes the terminal
    /// out of line mode, and so loses a key that was sent before; it reads the key itself, as a program that reads bytes does.
    /// There the key is sent again only after the program has written something, such as a prompt.
    fn send_eof(&mut self) {
        let Some(Pty { master, slave }) = &self.pty else { return };
        let Some(termios) = sys::tcgets(master.borrow()) else { return };
        let (end, lines) = termios.end_of_file();
        let unread = || sys::poll(&mut [Poll::new(Some(slave.borrow()), true, false)], Some(0)).unwrap_or(false);
        let send = if lines { !self.eof_sent || !unread() } else { self.answered && !unread() };
        if send && let Ok(Some(_)) = sys::write_now(master.borrow(), &[end]) {
            (self.eof_sent, self.answered) = (true, false);
            if lines {
                [self.pause, _] = PAUSES;
            }
        }
    }

    /// One read, and how much it gave. `last`: nothing more can come.
    fn read_output(&mut self, last: bool) -> usize {
        let Some(pty) = &self.pty else { return 0 };
        match self.output.fill(pty.master.borrow()) {
            Ok(Some(n)) if n > 0 => {
                self.answered = true;
                return n;
            }
            Ok(None) if !last => {}
            _ => self.pty = None,
        }
        0
    }

    /// Returns `false` if stdout can no longer be written to.
    fn write_output(&mut self) -> bool {
        let most = if self.again.is_some() { usize::MAX } else { AT_ONCE };
        let stdout = self.again.as_ref().map_or(FdRef::STDOUT, Fd::borrow);
        match self.output.drain(stdout, most) {
            Ok(_) => true,
            Err(e) => {
                self.lost = Some(e.about(b"stdout")).filter(|e| !e.is(Errno::EPIPE) && !e.is(Errno::EIO));
                self.output.clear();
                false
            }
        }
    }

    /// Closes the container's terminal: its session gets SIGHUP, and processes that still use it get EIO.
    pub fn hang_up(&mut self) {
        self.pty = None;
        self.input.clear();
    }
}

step! {
    /// Mounts a devpts, whose terminals are not the host's.
    pub struct MountDevpts {
        /// The user namespace has the group tty.
        pub has_tty_group: bool,
    }
}

impl ChildStep for MountDevpts {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // By convention the group tty has the id 5; everybody may open ptmx, as on a host.
        let data = match self.has_tty_group {
            true => c"newinstance,ptmxmode=0666,mode=0620,gid=5",
            false => c"newinstance,ptmxmode=0666,mode=0620",
        };
        let path = own::enter(child, c"/dev/pts")?;
        sys::mount(c"devpts", path, c"devpts", MountFlags::NOSUID | MountFlags::NOEXEC, Some(data))
            .map_err(|e| e.with_hint("-t needs /dev/pts, and a kernel with devpts"))
    }
}

step! {
    /// Opens its terminal, and sends the other side to the parent.
    pub struct OpenTerminal {
        /// What makes terminals.
        pub ptmx: &'static CStr,
    }
}

impl ChildStep for OpenTerminal {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let master = sys::open_pty(own::enter(child, self.ptmx)?)?;
        let slave = sys::open_peer(master.borrow())?;
        // With exec the session is that of the process that appears in the container.
        if child.successor.is_none() {
            sys::control(slave.borrow())?;
        }
        if let Some(socket) = child.pipes.terminal_send.take() {
            sys::send_fd(socket.borrow(), master.borrow(), b"\0")?;
        }
        child.terminal = Some(slave);
        Ok(())
    }
}

step! {
    /// Takes over the other side of its terminal, and makes the user's raw.
    pub struct ReceiveTerminal {
        /// Where the relay is left.
        pub terminal: &'static Slot<&'static mut Terminal>,
    }
}

impl ParentStep for ReceiveTerminal {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(socket) = parent.pipes.terminal_receive.take() else { return Ok(()) };
        // The child may be busy with a mount that hangs.
        if !parent.await_ready(socket.borrow(), false)? {
            // Where it is closed, the child fails before it is killed.
            parent.pipes.terminal_receive = Some(socket);
            return Ok(());
        }
        let Some(master) = sys::receive_fd(socket.borrow(), &mut [0])? else { return Ok(()) };
        let terminal = Terminal::new(master)?;
        // In the background the terminal is not ours to change: stop, as any job does that wants it. The kernel would stop
        // mydocker inside the call that changes the settings, where it could not see a signal that asks for the end.
        if sys::in_background() {
            sys::kill(Pid(0), libc::SIGTTOU)?;
        }
        let prepared = terminal.resize().and_then(|()| terminal.enter_raw_mode());
        self.terminal.set(Some(terminal));
        prepared
    }
}

step! {
    /// Binds its terminal where programs look for the console.
    pub struct BindConsole {
        /// Creates /dev/console first, which a new /dev lacks. On the host's own files nothing is created.
        pub create: bool,
    }

    may_fail |step| !step.create
}

impl ChildStep for BindConsole {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // The first one of its devpts.
        let (terminal, console) = (own::enter(child, c"/dev/pts/0")?, own::enter(child, c"/dev/console")?);
        if self.create {
            match sys::create(None, console, b"") {
                // A volume or a device is there.
                Err(e) if e.is(Errno::EEXIST) => return Ok(()),
                other => drop(other?),
            }
        }
        match sys::mount(terminal, console, c"", MountFlags::BIND, None) {
            // The host has none.
            Err(e) if e.is(Errno::ENOENT) && !self.create => Ok(()),
            other => other,
        }
    }
}

step! {
    /// Makes the terminal its three streams.
    pub struct AttachTerminal;
}

impl ChildStep for AttachTerminal {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        if let Some(terminal) = &child.terminal {
            for stream in &FdRef::STREAMS {
                sys::dup3(terminal.borrow(), *stream)?;
            }
        }
        Ok(())
    }
}
