//! What a detached container writes: a pipe, from which its keeper appends to a file in its record. Each piece comes with the time,
//! `MILLISECONDS LENGTH` on a line before it, so that all bytes are kept as they were. When the file has half of the size that
//! the log may have, it becomes `log.old`.

use crate::bytes::{self, FixedBytes, Put};
use crate::error::{Errno, Error, Result};
use crate::spec::{LogTo, Spec};
use crate::state::{LOG, OLD, Record, STDIN};
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, Dir, Fd, FdRef, Lock, NEW, OpenFlags};
use crate::writable::Output;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// How long a line before a piece may be.
const HEADER: usize = 32;

/// How short a log can be at the least, in bytes.
pub const LEAST: u64 = 1024;

/// How long a piece may be, with its header: a full pipe has four.
const PIECE: usize = 16 << 10;

/// No pipe holds more, unless root has made it larger: fcntl(2), F_SETPIPE_SZ.
const DRAIN_AT_MOST: usize = 1 << 20;

/// The log, as the keeper writes it.
pub struct Log {
    pipe: Option<Fd>,
    dir: Dir,
    file: Fd,
    /// Where the next piece begins.
    end: u64,
    /// How long the file may get.
    half: u64,
    /// A header and a piece.
    buffer: &'static mut [u8],
    /// How many bytes could not be written.
    lost: u64,
    /// When to try again to begin a new file.
    retry_at: u64,
    /// The last piece ends in the middle of a line.
    in_line: bool,
}

step! {
    /// Gives it streams of its own: its caller's are closed once it runs.
    pub struct DetachStreams {
        /// The container.
        pub spec: &'static Spec,
        /// The file of `--log`.
        pub file: &'static Slot<Output>,
        /// Where the log is left.
        pub log: &'static Slot<&'static mut Log>,
    }
}

impl ParentStep for DetachStreams {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some((.., dir)) = &parent.record else { return Ok(()) };
        let null = || sys::open(c"/dev/null", OpenFlags::RDWR);
        let stdin = if self.spec.tty || self.spec.interactive {
            // Open for writing, too, so that it never ends.
            match dir.mkfifo(STDIN) {
                // It has run before.
                Err(e) if e.is(Errno::EEXIST) => {}
                made => made?,
            }
            dir.openat(STDIN, OpenFlags::RDWR)?
        } else {
            null()?
        };
        sys::dup3(stdin.borrow(), FdRef::STDIN)?;
        let stdout = match self.spec.log {
            LogTo::Caller => return Ok(()),
            LogTo::Nowhere => null()?,
            LogTo::File(_) => {
                let Some((directory, name)) = self.file.take() else { return Ok(()) };
                sys::open_to_append(directory.as_ref(), name)?
            }
            LogTo::Own => {
                let (pipe, write) = sys::pipe2()?;
                self.log.set(Some(Box::leak(Box::new(Log::open(
                    Some(pipe),
                    dir,
                    self.spec.log_size,
                    self.spec.restart.is_some(),
                )?))));
                write
            }
        };
        sys::dup3(stdout.borrow(), FdRef::STDOUT)
    }
}

step! {
    /// Sends its errors where its output goes.
    pub struct JoinErrors;
}

impl ChildStep for JoinErrors {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::dup3(FdRef::STDOUT, FdRef::STDERR)
    }
}

impl Log {
    /// The log of the record in `dir`, of what comes out of `pipe`, if there is one. It `goes_on` where an earlier run of the container has left it.
    pub fn open(pipe: Option<Fd>, dir: &Dir, log_size: Option<u64>, goes_on: bool) -> Result<Log> {
        let file = dir.create_file(LOG, OpenFlags::WRONLY)?;
        // There are whole pieces: see `cut_last_piece`.
        let end = if goes_on { sys::statx_fd(file.borrow())?.size } else { 0 };
        let mut last = *b"\n";
        if end > 0 {
            sys::pread(dir.open_plain(LOG, OpenFlags::NONE)?.borrow(), &mut last, end - 1)?;
        }
        let half = log_size.unwrap_or(10 << 20) / 2;
        let buffer = alloc::vec![0; PIECE.min(half as usize)].leak();
        let (dir, in_line) = (Dir::open(Some(dir), c".")?, last != *b"\n");
        Ok(Log { pipe, dir, file, end, half, buffer, lost: 0, retry_at: 0, in_line })
    }

    /// The descriptor to poll.
    pub fn pipe(&self) -> Option<FdRef<'_>> {
        self.pipe.as_ref().map(Fd::borrow)
    }

    /// Takes one piece, and returns how long it was. What cannot be read any more is closed: nobody waits for room in it.
    pub fn take(&mut self) -> Result<usize> {
        let Some(pipe) = self.pipe.take() else { return Ok(0) };
        let n = sys::read(pipe.borrow(), self.buffer.get_mut(HEADER..).unwrap_or_default())?;
        self.pipe = Some(pipe);
        self.tell_loss();
        let buffer = core::mem::take(&mut self.buffer);
        self.in_line =
            n.checked_sub(1).and_then(|last| buffer.get(HEADER + last)).map_or(self.in_line, |last| *last != b'\n');
        if self.lost > 0 || !self.append(buffer, n) {
            self.lost += n as u64;
        }
        self.buffer = buffer;
        Ok(n)
    }

    /// Says in the log what is missing there, if there is room again for that.
    fn tell_loss(&mut self) {
        if self.lost > 0 {
            let lost = core::mem::take(&mut self.lost);
            self.note(&[b"mydocker: the log has lost ", &bytes::to_decimal(lost), b" bytes: no room\n"]);
            // There is no room for this either.
            if self.lost > 0 {
                self.lost = lost;
            }
        }
    }

    /// Appends a line of the keeper's own. Without room it counts among what is lost.
    pub fn note(&mut self, parts: &[&[u8]]) {
        let mut line = FixedBytes::<200>::new();
        line.put(if self.in_line { b"\n" } else { b"" });
        for part in parts {
            line.put(part);
        }
        let line = line.as_bytes();
        let mut piece = [0; HEADER + 200];
        if let Some(room) = piece.get_mut(HEADER..).and_then(|room| room.get_mut(..line.len())) {
            room.copy_from_slice(line);
        }
        match self.append(&mut piece, line.len()) {
            true => self.in_line = false,
            false => self.lost += line.len() as u64,
        }
    }

    /// Whether something is missing that the log does not speak of.
    pub fn has_lost(&self) -> bool {
        self.lost > 0 || self.pipe.is_none()
    }

    /// Takes all that is there. In the PID namespace of another container, what the command has left behind may go on writing.
    pub fn drain(&mut self) -> Result<()> {
        let mut left = DRAIN_AT_MOST;
        while let Some(pipe) = self.pipe().filter(|_| left > 0)
            && sys::await_readable(pipe, Some(0))?
        {
            left = left.saturating_sub(self.take()?);
        }
        // A line takes less room than most pieces.
        self.tell_loss();
        Ok(())
    }

    /// Writes a piece of `len` bytes, for whose header there is room before it. `false`: the disk is full, or fails; that is the
    /// log's loss, and not the container's.
    fn append(&mut self, piece: &mut [u8], len: usize) -> bool {
        let mut header = FixedBytes::<200>::new();
        let now = sys::realtime();
        header.put_decimal(now);
        header.put(b" ");
        header.put_decimal(len as u64);
        header.put(b"\n");
        let header = header.as_bytes();
        let start = HEADER - header.len();
        if let Some(room) = piece.get_mut(start..HEADER) {
            room.copy_from_slice(header);
        }
        let whole = piece.get(start..HEADER + len).unwrap_or_default();
        if self.end > 0 && self.end + whole.len() as u64 > self.half {
            // An error allocates: at most one in a minute, whatever becomes of the clock that the header has.
            let now = sys::monotonic() / 1000;
            if now < self.retry_at || self.begin_anew().is_err() {
                if now >= self.retry_at {
                    self.retry_at = now + 60_000;
                }
                return false;
            }
        }
        let is_written = sys::pwrite_all(self.file.borrow(), whole, self.end);
        if is_written {
            self.end += whole.len() as u64;
        } else {
            // A later run goes on where the file ends: no part of a piece is to stay there. Where this fails, too, it is the disk that
            // does, and the loss is noted in any case.
            let _ = sys::try_ftruncate(&self.file, self.end as usize);
        }
        is_written
    }

    fn begin_anew(&mut self) -> Result<()> {
        let file = self.dir.create_file(NEW, OpenFlags::WRONLY | OpenFlags::TRUNC)?;
        // It is not there if this has failed between the two.
        match self.dir.rename(LOG, OLD) {
            Err(e) if !e.is(Errno::ENOENT) => return Err(e),
            _ => {}
        }
        self.dir.rename(NEW, LOG)?;
        (self.file, self.end) = (file, 0);
        Ok(())
    }
}

/// Removes what a run that was killed may have left at the end of the log: a part of a piece. Only here is the whole log read, to find
/// the end of the last piece that is whole.
pub fn cut_last_piece(dir: &Dir) -> Result<()> {
    let mut reader = match dir.open_plain(LOG, OpenFlags::RDWR) {
        // It has another log, or was killed when the file had just got its other name.
        Err(e) if e.is(Errno::ENOENT) => return Ok(()),
        file => Reader::new(file?, false)?,
    };
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => return sys::ftruncate(&reader.file, reader.at as usize),
            // What cannot be read any more is kept as it is.
            Err(_) => return dir.rename(LOG, OLD),
        }
    }
}

/// What to show of a log.
#[derive(Default)]
pub struct View {
    /// Go on until the container has ended.
    pub follow: bool,
    /// Each line with its time.
    pub times: bool,
    /// The last lines alone.
    pub tail: Option<u64>,
    /// What came after this time alone: milliseconds since 1970.
    pub since: u64,
}

/// How long `logs -f` pauses, in nanoseconds.
const PAUSE: i64 = 50_000_000;

/// Prints the log of a container.
pub fn show(record: &mut Record, name: &CStr, view: &View) -> Result<()> {
    let open = |file| record.dir.open_plain(file, OpenFlags::NONE);
    // Between two names of a file there is a moment without `log`; and a keeper may have been killed in it.
    let Some(log) = if_there(open(LOG))?.map_or_else(|| if_there(open(OLD)), |log| Ok(Some(log)))? else {
        return Err(Error::refused(
            "it keeps no log:",
            name.to_bytes(),
            "only run -d without --log does; other output is where its caller or --log sends it",
        ));
    };
    let mut log = Reader::new(log, view.follow)?;
    // It may have been `log` a moment ago.
    let old = if_there(open(OLD))?.map(|old| Reader::new(old, view.follow)).transpose()?;
    let mut old = old.filter(|old| old.inode != log.inode);
    let mut printer = Printer { view, skip: 0, lines: 0, in_line: false, out: Vec::new() };
    // The older half may be damaged, and the newer one not.
    let mut damage = Ok(());
    let mut may_warn_at = 0;
    if let Some(tail) = view.tail {
        if let Some(old) = &mut old {
            damage = printer.count(old);
        }
        printer.count(&mut log)?;
        printer.skip = (printer.lines + u64::from(printer.in_line)).saturating_sub(tail);
        printer.in_line = false;
    }
    if let Some(old) = &mut old {
        damage = printer.print_all(old);
    }
    loop {
        // Asked before the end is reached: what it wrote last is there then.
        let has_ended = !view.follow || sys::lock(&record.dir, Lock::SH | Lock::NB)?;
        printer.print_all(&mut log)?;
        if view.follow
            && let Some(file) = if_there(open(LOG))?
            && inode(&file)? != log.inode
        {
            // The file that it has read is complete. If it is not `log.old` now, others came in between.
            printer.print_all(&mut log)?;
            let (last, next) = (log.inode, inode(&file)?);
            if let Some(old) = if_there(open(OLD))? {
                log.turn_to(old)?;
            }
            if log.inode != last {
                printer.end_line()?;
                // At most once in ten seconds, or the terminal shows little else.
                let now = sys::monotonic();
                if now >= may_warn_at {
                    may_warn_at = now + 10_000_000;
                    let what = "it has written faster than this reads: lines may be missing:";
                    sys::say(Error::refused(what, name.to_bytes(), ""));
                }
                if log.inode != next {
                    printer.print_all(&mut log)?;
                }
            }
            log.turn_to(file)?;
            continue;
        }
        if has_ended {
            if view.follow {
                record.wait()?;
            }
            if record.has_lost_log() {
                let what = "the disk was full: lines are missing in the log of";
                sys::say(Error::refused(what, name.to_bytes(), ""));
            }
            return damage;
        }
        sys::nanosleep(PAUSE)?;
    }
}

/// A file that need not be there.
fn if_there(file: Result<Fd>) -> Result<Option<Fd>> {
    match file {
        Err(e) if e.is(Errno::ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

/// One file of a log.
struct Reader {
    file: Fd,
    at: u64,
    /// Where it ends: what is written later is not read, or a container that writes fast would never be read to its end.
    end: u64,
    /// By this it is known: as long as the file is open, no other one has the number.
    inode: u64,
    /// What has been read last, from where, and how much: many pieces are short.
    buffer: Vec<u8>,
    from: u64,
    len: usize,
}

impl Reader {
    /// Of what is there now; with `follow` also of what comes.
    fn new(file: Fd, follow: bool) -> Result<Reader> {
        let status = sys::statx_fd(file.borrow()).map_err(about)?;
        let end = if follow { u64::MAX } else { status.size };
        Ok(Reader { inode: status.inode, file, at: 0, end, buffer: alloc::vec![0; PIECE], from: 0, len: 0 })
    }

    /// Begins to read another file.
    fn turn_to(&mut self, file: Fd) -> Result<()> {
        (self.inode, self.file, self.at, self.len) = (inode(&file)?, file, 0, 0);
        Ok(())
    }

    /// The next piece, and when it was written, if it is there in whole.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>> {
        let mut is_fresh = false;
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            if let Some((time, start, len)) = self.next_there()? {
                self.at = self.from + (start + len) as u64;
                return Ok(self.buffer.get(start..start + len).map(|piece| (time, piece)));
            }
            if is_fresh {
                return Ok(None);
            }
            self.len = sys::pread(self.file.borrow(), &mut self.buffer, self.at).map_err(about)?;
            (self.from, is_fresh) = (self.at, true);
        }
    }

    /// The same, of what has been read: its time, where it begins, and how long it is.
    fn next_there(&self) -> Result<Option<(u64, usize, usize)>> {
        let at = self.at.wrapping_sub(self.from) as usize;
        let there = self.buffer.get(at..self.len).unwrap_or_default();
        let Some((header, rest)) = bytes::split_once(there, b'\n') else {
            // A piece of which not even the header is there in whole; but that is short.
            return if there.len() < HEADER { Ok(None) } else { Err(damaged()) };
        };
        let numbers = bytes::split_once(header, b' ').map(|(time, len)| (bytes::decimal(time), bytes::decimal(len)));
        match numbers {
            Some((Ok(time), Ok(len))) if (len as usize) < PIECE => {
                let len = len as usize;
                Ok((len <= rest.len()).then_some((time, self.len - rest.len(), len)))
            }
            _ => Err(damaged()),
        }
    }
}

fn damaged() -> Error {
    Error::refused("the log is damaged: what follows cannot be shown", b"", "")
}

fn inode(file: &Fd) -> Result<u64> {
    sys::statx_fd(file.borrow()).map(|status| status.inode).map_err(about)
}

fn about(error: Error) -> Error {
    error.about(LOG.to_bytes())
}

struct Printer<'a> {
    view: &'a View,
    /// How many lines are still to be skipped.
    skip: u64,
    /// How many have been counted.
    lines: u64,
    /// The last byte did not end a line.
    in_line: bool,
    out: Vec<u8>,
}

impl Printer<'_> {
    /// Counts the lines to its end, or to where it is damaged, and goes back to its beginning.
    fn count(&mut self, reader: &mut Reader) -> Result<()> {
        let counted = loop {
            match reader.next() {
                Ok(Some((time, piece))) if time >= self.view.since => {
                    self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
                    self.in_line = piece.last().is_some_and(|byte| *byte != b'\n');
                }
                Ok(Some(_)) => {}
                end => break end.map(|_| ()),
            }
        };
        reader.at = 0;
        counted
    }

    /// Ends a line that is not whole.
    fn end_line(&mut self) -> Result<()> {
        match core::mem::take(&mut self.in_line) {
            true => sys::write_all(FdRef::STDOUT, b"\n"),
            false => Ok(()),
        }
    }

    fn print_all(&mut self, reader: &mut Reader) -> Result<()> {
        while let Some((time, piece)) = reader.next()? {
            if time < self.view.since {
                continue;
            }
            self.out.clear();
            for &byte in piece {
                if self.view.times && !self.in_line && self.skip == 0 {
                    put_time(&mut self.out, time);
                }
                self.in_line = byte != b'\n';
                if self.skip == 0 {
                    self.out.push(byte);
                } else if !self.in_line {
                    self.skip -= 1;
                }
            }
            sys::write_all(FdRef::STDOUT, &self.out)?;
        }
        Ok(())
    }
}

/// A time as RFC 3339 has it, and a blank: `2026-11-26T21:09:03.042Z `.
fn put_time(out: &mut Vec<u8>, milliseconds: u64) {
    let (days, in_day) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
    // Days since 1 March of the year 0, in eras of 400 years: the leap day is the last of its year.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (400 * era + year + month / 10, (month + 2) % 12 + 1);
    let second = in_day / 1000;
    for (value, width, after) in [
        (year, 4, b"-"),
        (month, 2, b"-"),
        (day, 2, b"T"),
        (second / 3600, 2, b":"),
        (second / 60 % 60, 2, b":"),
        (second % 60, 2, b"."),
        (in_day % 1000, 3, b"Z"),
    ] {
        out.put_padded(value, width);
        out.put(after);
    }
    out.put(b" ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z "),
            (951_782_400_042, "2000-02-29T00:00:00.042Z "),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z "),
            (1_795_728_294_000, "2026-11-26T21:24:54.000Z "),
        ] {
            let mut out = Vec::new();
            put_time(&mut out, milliseconds);
            assert_eq!(str::from_utf8(&out).unwrap(), expected);
        }
    }
}
