//! Descriptors, and the calls that work on any of them: read(2), write(2), pipe(2), poll(2), dup(2), close_range(2).

use super::flags::{CloseRangeFlags, Fcntl, Memfd, OpenFlags, Seals, Whence};
use super::gate::About::Text;
use super::gate::{Arg, Null, Object, Print, Show, Timespec, call, put_numbers};
use crate::bytes;
use crate::error::{Cause, Errno, Error, Result};
use ::alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use syscalls::Sysno;

/// A descriptor that is closed when its owner is dropped; the number as a register holds it.
pub struct Fd(usize);

impl Fd {
    /// Takes what a call has returned.
    pub(super) fn own(fd: usize) -> Fd {
        Fd(fd)
    }

    /// A second owner of the same number, where calls are recorded: the child, which is not made then, would have a copy of it.
    pub fn rehearsed(&self) -> Fd {
        Fd(self.0)
    }

    /// The descriptor, for a call.
    pub fn borrow(&self) -> FdRef<'_> {
        FdRef(self.0, PhantomData)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: `self` owns the number, so nobody uses it afterwards. close(2) frees it whatever it returns.
        let _ = unsafe { call!(close(self.borrow())) };
    }
}

/// A borrowed descriptor.
#[derive(Clone, Copy)]
pub struct FdRef<'a>(usize, PhantomData<&'a Fd>);

impl FdRef<'static> {
    /// Standard input.
    pub const STDIN: Self = FdRef(0, PhantomData);
    /// Standard output.
    pub const STDOUT: Self = FdRef(1, PhantomData);
    /// Standard error.
    pub const STDERR: Self = FdRef(2, PhantomData);
    /// AT_FDCWD: a relative path begins at the working directory.
    pub const CWD: Self = FdRef(libc::AT_FDCWD as usize, PhantomData);
    /// -1: no descriptor.
    pub const NONE: Self = FdRef(usize::MAX, PhantomData);
    /// The three standard streams.
    pub const STREAMS: [Self; 3] = [Self::STDIN, Self::STDOUT, Self::STDERR];

    /// The descriptor `number` of mydocker's caller, if it is open.
    pub fn inherited(number: i32) -> Option<Self> {
        is_open(number as usize).then_some(FdRef(number as usize, PhantomData))
    }
}

impl FdRef<'_> {
    /// The number.
    pub fn number(self) -> i32 {
        self.0 as i32
    }
}

impl Arg for FdRef<'_> {
    const SHOW: &'static Show = &Show::Descriptor;
    fn reg(&self) -> usize {
        self.0
    }
}

/// Whether the descriptor `number` is open. Not shown in a trace.
pub(super) fn is_open(number: usize) -> bool {
    // SAFETY: F_GETFD takes a number and changes nothing
    unsafe { syscalls::syscall2(Sysno::fcntl, number, libc::F_GETFD as usize) }.is_ok()
}

/// read(2); 0 at the end.
pub fn read(fd: FdRef, buffer: &mut [u8]) -> Result<usize> {
    let len = buffer.len();
    // SAFETY: the slice is ours to write for the time of the call, and as long as `len` says
    unsafe { call!(read(fd, buffer, len)) }.result()
}

/// read(2) of what is there now; `None` if nothing is.
pub fn read_now(fd: FdRef, buffer: &mut [u8]) -> Result<Option<usize>> {
    let len = buffer.len();
    // SAFETY: the slice is ours to write for the time of the call, and as long as `len` says
    unsafe { call!(read(fd, buffer, len)) }.unless_would_block()
}

/// read(2) to the end, behind what `content` holds.
pub fn read_to_end(fd: FdRef, content: &mut Vec<u8>) -> Result<()> {
    loop {
        content.reserve(4096);
        let room = content.spare_capacity_mut();
        let size = room.len();
        // SAFETY: the spare capacity is ours to write for the time of the call, and as long as `size` says
        let n = unsafe { call!(read(fd, room, size)) }.result()?;
        if n == 0 {
            return Ok(());
        }
        // SAFETY: the kernel has filled the first `n` bytes of the spare capacity
        unsafe { content.set_len(content.len() + n) };
    }
}

/// pread(2): what is in a file from `offset` on; 0 past its end.
pub fn pread(fd: FdRef, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let len = buffer.len();
    // SAFETY: the slice is ours to write for the time of the call, and as long as `len` says
    unsafe { call!(pread64(fd, buffer, len, offset)) }.result()
}

/// lseek(2): the new offset.
pub fn lseek(fd: FdRef, offset: u64, whence: Whence) -> Result<u64> {
    // SAFETY: the call takes numbers
    unsafe { call!(lseek(fd, offset, whence)) }.result().map(|offset| offset as u64)
}

/// fcntl(2) F_DUPFD_CLOEXEC: a copy above the three streams.
pub fn duplicate(number: usize) -> Result<Fd> {
    // SAFETY: this command takes a number
    unsafe { call!(fcntl(FdRef(number, PhantomData), Fcntl::DUPFD_CLOEXEC, 3usize)) }.result().map(Fd::own)
}

/// fcntl(2) F_GET_SEALS: whether it is a file in memory that nobody can write to.
pub fn is_sealed(fd: &Fd) -> bool {
    // SAFETY: F_GET_SEALS takes no argument
    let seals = unsafe { call!(fcntl(fd.borrow(), Fcntl::GET_SEALS)) }.ok();
    seals.is_some_and(|seals| seals & Seals::WRITE.bits() as usize != 0)
}

/// memfd_create(2), sendfile(2), and fcntl(2) F_ADD_SEALS: a copy of a file, in memory, that nobody can write to.
pub fn sealed_copy(file: &Fd) -> Result<Fd> {
    let create = |flags: Memfd| {
        // SAFETY: the name ends with a NUL
        unsafe { call!(memfd_create(c"mydocker", flags)) }.about(Text(b"mydocker")).map(Fd::own)
    };
    let flags = Memfd::CLOEXEC | Memfd::ALLOW_SEALING;
    let copy = match create(flags | Memfd::EXEC) {
        // Before Linux 6.3 each can be executed.
        Err(e) if e.is(Errno::EINVAL) => create(flags),
        other => other.map_err(|e| e.with_hint("it executes a copy of itself, in memory: sysctl vm.memfd_noexec=0")),
    }?;
    loop {
        // SAFETY: the kernel copies from one descriptor to the other, from where it is in the first
        let sent =
            unsafe { call!(sendfile(copy.borrow(), file.borrow(), Null, 1usize << 20)) }.about(Text(b"mydocker"))?;
        if sent == 0 {
            break;
        }
    }
    let seals = Seals::SEAL | Seals::SHRINK | Seals::GROW | Seals::WRITE;
    let mut busy = 0;
    loop {
        // SAFETY: F_ADD_SEALS takes flags
        match unsafe { call!(fcntl(copy.borrow(), Fcntl::ADD_SEALS, seals)) }.about(Text(b"mydocker")) {
            // The kernel itself holds a page, as while it moves it; it has waited for 150 ms.
            Err(e) if e.is(Errno::EBUSY) && busy < 20 => busy += 1,
            sealed => return sealed.map(|_| copy),
        }
    }
}

/// fcntl(2) F_SETFL O_NONBLOCK: what would wait fails with EAGAIN instead. It belongs to the open file description.
pub fn set_nonblocking(fd: FdRef) -> Result<()> {
    set_status_flags(fd, OpenFlags::NONBLOCK)
}

/// fcntl(2) F_SETFL: these flags, and no others of those that can be changed.
pub(super) fn set_status_flags(fd: FdRef, flags: OpenFlags) -> Result<()> {
    // SAFETY: this command takes flags
    unsafe { call!(fcntl(fd, Fcntl::SETFL, flags)) }.result().map(drop)
}

/// fcntl(2) F_GETFL: whether it was opened for writing.
pub fn may_write(fd: FdRef) -> Result<bool> {
    // SAFETY: this command takes no argument
    let flags = unsafe { call!(fcntl(fd, Fcntl::GETFL)) }.result()?;
    Ok(flags as i32 & libc::O_ACCMODE != libc::O_RDONLY)
}

/// pwrite(2) at `offset`, until all is taken; whether it was. A failure allocates no error: it may come again and again.
#[must_use]
pub fn pwrite_all(fd: FdRef, mut bytes: &[u8], mut offset: u64) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of one slice
        let Some(n) = unsafe { call!(pwrite64(fd, bytes, bytes.len(), offset)) }.ok() else { return false };
        bytes = bytes.get(n..).unwrap_or_default();
        offset += n as u64;
    }
    true
}

/// write(2) that does not wait: how much was written, `None` if there is no room now.
pub fn write_now(fd: FdRef, bytes: &[u8]) -> Result<Option<usize>> {
    // SAFETY: the pointer and the length are those of one slice
    unsafe { call!(write(fd, bytes, bytes.len())) }.unless_would_block()
}

/// write(2); it may take only a part.
pub fn write(fd: FdRef, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the pointer and the length are those of one slice
    unsafe { call!(write(fd, bytes, bytes.len())) }.result()
}

/// write(2) until all is taken.
pub fn write_all(fd: FdRef, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = write(fd, bytes).map_err(|e| if fd.number() == 1 { e.about(b"stdout") } else { e })?;
        bytes = bytes.get(n..).unwrap_or_default();
    }
    Ok(())
}

/// Two integers that the kernel writes: the ends of a pipe or of a pair of sockets.
#[derive(Default)]
#[repr(C)]
pub(super) struct Ends([i32; 2]);

impl Object for Ends {
    const PRINT: Option<Print> = Some(put_numbers);
}

impl From<Ends> for (Fd, Fd) {
    fn from(ends: Ends) -> (Fd, Fd) {
        let [first, second] = ends.0;
        (Fd::own(first as usize), Fd::own(second as usize))
    }
}

/// pipe2(2), close-on-exec: the end to read from, the end to write to.
pub fn pipe2() -> Result<(Fd, Fd)> {
    let mut ends = Ends::default();
    // SAFETY: the kernel writes two descriptors into an array of two
    unsafe { call!(pipe2(&mut ends, OpenFlags::CLOEXEC)) }.result()?;
    Ok(ends.into())
}

/// The same for a process that makes pipes again and again: a failure allocates no error.
pub fn try_pipe2() -> Option<(Fd, Fd)> {
    let mut ends = Ends::default();
    // SAFETY: the kernel writes two descriptors into an array of two
    unsafe { call!(pipe2(&mut ends, OpenFlags::CLOEXEC)) }.ok()?;
    Some(ends.into())
}

/// dup3(2) without flags: `target` becomes a copy of `fd` that stays open across execve.
pub fn dup3(fd: FdRef, target: FdRef) -> Result<()> {
    // SAFETY: the call takes descriptors; the one that it closes is a standard stream, which nobody owns, or one that a child
    // does not use before execve
    unsafe { call!(dup3(fd, target, OpenFlags::NONE)) }.result().map(drop)
}

/// The descriptor that a trace is written to; 0 without `--trace`. The child has a copy of it, as of everything.
static OF_TRACE: AtomicI32 = AtomicI32::new(0);

/// A trace is written to the descriptor `number` from here on.
pub(super) fn set_of_trace(number: i32) {
    OF_TRACE.store(number, Relaxed);
}

/// The descriptor that a trace is written to.
pub(super) fn of_trace() -> Option<i32> {
    Some(OF_TRACE.load(Relaxed)).filter(|fd| *fd != 0)
}

/// Closes every descriptor from `first` on except `kept` and that of a trace: close_range(2), once for each gap between them.
pub fn close_all_but(mut first: i32, kept: &[FdRef]) -> Result<()> {
    let kept = || kept.iter().map(|fd| fd.number()).chain(of_trace());
    while let Some(next) = kept().filter(|fd| *fd >= first).min() {
        if next > first {
            close_range(first, next - 1, CloseRangeFlags::NONE)?;
        }
        first = next + 1;
    }
    close_range(first, i32::MAX, CloseRangeFlags::NONE)
}

/// close_range(2): closes the descriptors from `first` to `last`, or with CLOEXEC marks them (Linux 5.11). Who calls it without
/// CLOEXEC uses none of them any more.
pub fn close_range(first: i32, last: i32, flags: CloseRangeFlags) -> Result<()> {
    // SAFETY: the call takes numbers
    unsafe { call!(close_range(first, last, flags)) }.result().map(drop)
}

/// A descriptor and the events to wait for: struct pollfd.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Poll(libc::pollfd);

impl Object for Poll {}

impl Poll {
    /// Waits until `fd` can be read (`read`) or written to (`write`). poll ignores it if there is no descriptor, or both are
    /// false.
    pub fn new(fd: Option<FdRef>, read: bool, write: bool) -> Poll {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        let fd = fd.filter(|_| events != 0).unwrap_or(FdRef::NONE);
        Poll(libc::pollfd { fd: fd.number(), events, revents: 0 })
    }

    /// It can be read, or has ended.
    pub fn can_read(self) -> bool {
        self.shows(libc::POLLIN)
    }

    /// It can be written to, or its other end is closed.
    pub fn can_write(self) -> bool {
        self.shows(libc::POLLOUT)
    }

    fn shows(self, event: i16) -> bool {
        self.0.events & event != 0 && self.0.revents & (event | libc::POLLHUP | libc::POLLERR) != 0
    }
}

/// ppoll(2): waits until one of `fds` is ready, for at most `milliseconds` if given. `Ok(false)`: the time is over.
pub fn poll(fds: &mut [Poll], milliseconds: Option<u32>) -> Result<bool> {
    let count = fds.len();
    let Some(first) = fds.first_mut() else { return Ok(false) };
    let mut time = milliseconds.map(|limit| Timespec([i64::from(limit / 1000), i64::from(limit % 1000) * 1_000_000]));
    // SAFETY: the pointer and the count are those of one slice; the kernel counts the time down in place; no signal mask is
    // passed, whose size is 8
    unsafe { call!(ppoll(first, count, time.as_mut(), Null, 8usize)) }.result().map(|ready| ready > 0)
}

/// The same with one descriptor: waits until it can be read.
pub fn await_readable(fd: FdRef, milliseconds: Option<u32>) -> Result<bool> {
    poll(&mut [Poll::new(Some(fd), true, false)], milliseconds)
}

/// Whether the reading end of the pipe that `fd` writes to is closed.
pub fn reader_is_gone(fd: FdRef) -> Result<bool> {
    // The kernel reports POLLERR and POLLHUP without being asked.
    poll(&mut [Poll(libc::pollfd { fd: fd.number(), events: 0, revents: 0 })], Some(0))
}

impl Object for Cause {}

/// Room for a cause.
struct CauseRoom(*mut Cause);

impl Arg for CauseRoom {
    const SHOW: &'static Show = &Show::Address;
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// Sends the cause of an error through the pipe between the two processes, in one atomic write: it is smaller than
/// PIPE_BUF.
pub fn send_error(pipe: FdRef, error: Error) -> Result<()> {
    // SAFETY: the kernel reads one Cause, of the size that it is told
    unsafe { call!(write(pipe, error.cause(), size_of::<Cause>())) }.about(Text(b"error pipe")).map(drop)
}

/// Sends the message of an error, behind its status, through a pipe that others may write to as well.
pub fn send_message(pipe: FdRef, error: Error) -> Result<()> {
    let mut message = ::alloc::vec![error.status() as u8];
    error.print(&mut message);
    write_all(pipe, &message)
}

/// Receives what [`send_message`] has sent: whether it is not the end of file, and the error, if it is one.
pub fn receive_message(pipe: FdRef) -> Result<(bool, Option<Error>)> {
    let mut buffer = [0; 1024];
    let n = read(pipe, &mut buffer).map_err(|e| e.about_text(b"error pipe"))?;
    let start = b"mydocker: ";
    let error = bytes::split(buffer.get(..n).unwrap_or_default(), b'\n').find_map(|line| {
        let at = bytes::position(line, start)?;
        let text = line.get(at + start.len()..)?;
        // Others may not write to the caller's terminal so.
        let is_harmless = core::str::from_utf8(text).is_ok_and(|text| !text.chars().any(bytes::commands_a_terminal));
        is_harmless.then_some(Error::said(*line.get(at.checked_sub(1)?)?, text))
    });
    Ok((n > 0, error))
}

/// Receives an error that the child has sent; `None` at the end of file.
pub fn receive_error(pipe: FdRef) -> Result<Option<Error>> {
    let mut cause = core::mem::MaybeUninit::<Cause>::uninit();
    // SAFETY: the kernel writes no more than the size of a Cause
    let n =
        unsafe { call!(read(pipe, CauseRoom(cause.as_mut_ptr()), size_of::<Cause>())) }.about(Text(b"error pipe"))?;
    if n == 0 {
        return Ok(None);
    }
    // It was written at once, and is smaller than PIPE_BUF: pipe(7).
    if n != size_of::<Cause>() {
        return Err(Error::refused("what the child has sent is no error", b"", ""));
    }
    // SAFETY: these are the bytes of a Cause that `send_error` wrote in a copy of this very program and its memory, so
    // that its &'static str mean the same here; nobody else holds the other end of the pipe
    Ok(Some(Error::new(unsafe { cause.assume_init_ref() })))
}
