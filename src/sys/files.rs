//! Descriptors, and the calls that work on them.

use super::flags::{Access, AtFlags, CloseRangeFlags, Lock, OpenFlags};
use super::gate::{Mode, sys};
use super::trace;
use crate::error::{Cause, Errno, Error, Result, Subject};
use crate::text::{self, Put};
use ::alloc::vec::Vec;
use core::ffi::CStr;

/// A descriptor of our own; it is closed when its owner goes.
pub struct Fd(i32);

impl Fd {
    /// Takes what a call has returned.
    pub(super) fn own(fd: usize) -> Fd {
        Fd(fd as i32)
    }

    /// The number.
    pub fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the number is ours; close(2) frees it whatever it returns
        let _ = unsafe { sys!(close(self.0)) };
    }
}

/// Where a relative path starts: a directory with the path by which messages name it.
pub struct Dir {
    fd: Fd,
    path: &'static [u8],
}

impl Dir {
    /// Opens `path`; `below` a directory, or from the working directory.
    pub fn open(below: Option<&Dir>, path: &CStr) -> Result<Dir> {
        let fd = openat(below, path, OpenFlags::DIRECTORY)?;
        let full = match below {
            Some(dir) => text::c_string(&dir.naming(path)),
            None => text::c_string(&[path.to_bytes()]),
        };
        Ok(Dir { fd, path: full.to_bytes() })
    }

    /// The descriptor.
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// The path by which messages name it.
    pub fn path(&self) -> &'static [u8] {
        self.path
    }

    /// The path of `name` in it, in parts, as messages show it.
    pub(super) fn naming<'a>(&'a self, name: &'a CStr) -> [&'a [u8]; 3] {
        let name = name.to_bytes();
        match name.strip_prefix(b".").unwrap_or(name) {
            [] => [self.path, b"", b""],
            [b'/', below @ ..] => [self.path, b"/", below],
            _ => [self.path, b"/", name],
        }
    }

    /// openat(2) of a file in it.
    pub fn openat(&self, name: &CStr, flags: OpenFlags) -> Result<Fd> {
        openat(Some(self), name, flags)
    }

    /// mkdirat(2).
    pub fn mkdirat(&self, name: &CStr, mode: u32) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { sys!(mkdirat(self.fd.0, name, Mode(mode))) }.on(Some(self), name).map(drop)
    }

    /// unlinkat(2) of a directory.
    pub fn rmdir(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { sys!(unlinkat(self.fd.0, name, AtFlags::REMOVEDIR)) }.on(Some(self), name).map(drop)
    }

    /// faccessat(2), whether `name` is there.
    pub fn has(&self, name: &CStr) -> Result<bool> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        match unsafe { sys!(faccessat(self.fd.0, name, Access::F_OK)) }.on(Some(self), name) {
            Ok(_) => Ok(true),
            Err(e) if e.is(Errno::ENOENT) || e.is(Errno::ENODEV) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// write(2) of `value` to the file `name`, in one call, and with `got` pread(2) of what it holds then: control files
    /// take and give their content whole. Returns how much of `got` was filled.
    pub fn write_and_read_back(&self, name: &CStr, value: &[u8], got: &mut [u8]) -> Result<usize> {
        let file = self.openat(name, OpenFlags::RDWR)?;
        // SAFETY: the pointer and the length are of one slice
        let written = unsafe { sys!(write(file.0, value.as_ptr(), value.len())) };
        if written.ok().is_none() {
            let mut what = Subject::quoted(&[value]);
            what.put(b" to ");
            what.put_quoted(&self.naming(name));
            return written.of(what.as_bytes());
        }
        if got.is_empty() {
            return Ok(0);
        }
        // SAFETY: the pointer and the length are of one slice that is ours to write
        unsafe { sys!(pread64(file.0, got.as_mut_ptr(), got.len(), 0usize)) }.on(Some(self), name)
    }

    /// Writes `value` to the control file `name`.
    pub fn write(&self, name: &CStr, value: &[u8]) -> Result<()> {
        self.write_and_read_back(name, value, &mut []).map(drop)
    }

    /// The first `buffer` of the file `name`: control files are shorter.
    pub fn read<'a>(&self, name: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        read_up_to(Some(self), name, buffer)
    }
}

pub(super) fn openat(below: Option<&Dir>, path: &CStr, flags: OpenFlags) -> Result<Fd> {
    let dir = below.map_or(libc::AT_FDCWD, |dir| dir.fd.0);
    loop {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        let fd = unsafe { sys!(openat(dir, path, flags | OpenFlags::CLOEXEC)) }.on(below, path)?;
        let fd = Fd(fd as i32);
        if fd.0 > 2 {
            return Ok(fd);
        }
        drop(fd);
        reserve_standard_streams()?;
    }
}

/// openat(2) of a file to write to, made where there is none, emptied where there is one.
pub fn create_file(path: &CStr) -> Result<Fd> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC | OpenFlags::CLOEXEC;
    loop {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        let fd = Fd(unsafe { sys!(openat(libc::AT_FDCWD, path, flags, Mode(0o666))) }.on(None, path)? as i32);
        if fd.0 > 2 {
            return Ok(fd);
        }
        drop(fd);
        reserve_standard_streams()?;
    }
}

/// Opens `/dev/null` on those of the descriptors 0, 1 and 2 that the caller left closed. A file of ours must not land
/// there: it would become the command's stream, or take our messages. Every run opens a file before it makes a pipe or
/// a socket, so looking at what `openat` returns is enough, and costs nothing where nothing is closed.
fn reserve_standard_streams() -> Result<()> {
    loop {
        // SAFETY: a literal, NUL-terminated
        let fd = unsafe { sys!(openat(libc::AT_FDCWD, c"/dev/null", OpenFlags::RDWR)) }.at(&[b"/dev/null"])?;
        if fd > 2 {
            drop(Fd(fd as i32));
            return Ok(());
        }
    }
}

/// faccessat(2): whether there is something at `path`.
pub fn exists(path: &CStr) -> bool {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(faccessat(libc::AT_FDCWD, path, Access::F_OK)) }.ok().is_some()
}

/// faccessat(2): whether `path` may be executed.
pub fn is_executable(path: &CStr) -> bool {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(faccessat(libc::AT_FDCWD, path, Access::X_OK)) }.ok().is_some()
}

/// Whether `path` can be opened as a directory.
pub fn is_directory(path: &CStr) -> bool {
    openat(None, path, OpenFlags::DIRECTORY | OpenFlags::PATH).is_ok()
}

/// The whole file.
pub fn read_file(path: &CStr) -> Result<Vec<u8>> {
    const STEP: usize = 4096;
    let file = openat(None, path, OpenFlags::NONE)?;
    let mut content = Vec::new();
    loop {
        let len = content.len();
        content.resize(len + STEP, 0);
        let room = content.get_mut(len..).unwrap_or_default();
        let n = read(&file, room).map_err(|e| e.about(path.to_bytes()))?;
        content.truncate(len + n);
        if n == 0 {
            return Ok(content);
        }
    }
}

/// One read(2) of a file: its beginning, as much as goes into `buffer`.
pub fn read_up_to<'a>(below: Option<&Dir>, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let file = openat(below, path, OpenFlags::NONE)?;
    let n = read(&file, buffer).map_err(|e| e.about(path.to_bytes()))?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// read(2); 0 at the end.
pub fn read(fd: &Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the pointer and the length are of one slice that is ours to write
    unsafe { sys!(read(fd.0, buffer.as_mut_ptr(), buffer.len())) }.of(b"")
}

/// read(2) of what is there; `None`: nothing, for now.
pub fn read_now(fd: i32, buffer: &mut [u8]) -> Result<Option<usize>> {
    // SAFETY: as above
    unsafe { sys!(read(fd, buffer.as_mut_ptr(), buffer.len())) }.now()
}

/// write(2) of as much as there is room for; `None`: none, for now.
pub fn write_now(fd: i32, bytes: &[u8]) -> Result<Option<usize>> {
    // SAFETY: the pointer and the length are of one slice
    unsafe { sys!(write(fd, bytes.as_ptr(), bytes.len())) }.now()
}

/// write(2); it may take only a part.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the pointer and the length are of one slice
    unsafe { sys!(write(fd, bytes.as_ptr(), bytes.len())) }.of(b"")
}

/// write(2) until all is taken.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = write(fd, bytes)?;
        bytes = bytes.get(n..).unwrap_or_default();
    }
    Ok(())
}

/// pipe2(2), close-on-exec: the end to read from, the end to write to.
pub fn pipe2() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two descriptors into an array of two
    unsafe { sys!(pipe2(&raw mut ends, OpenFlags::CLOEXEC)) }.of(b"")?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// flock(2) LOCK_EX, waiting or not. `Ok(false)`: somebody else holds it.
pub fn flock(dir: &Dir, wait: bool) -> Result<bool> {
    let operation = if wait { Lock::EX } else { Lock::EX | Lock::NB };
    // SAFETY: numbers only
    match unsafe { sys!(flock(dir.fd.0, operation)) }.on(Some(dir), c".") {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::EWOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Marks every descriptor above stderr close-on-exec: close_range(2). Before Linux 5.11, which cannot mark, closes all
/// but `kept`, which is close-on-exec from birth.
pub fn close_on_exec(kept: Option<&Fd>) -> Result<()> {
    match range(3, i32::MAX, CloseRangeFlags::CLOEXEC) {
        Err(e) if e.is(Errno::EINVAL) => close_all_but(kept),
        other => other,
    }
}

/// Closes every descriptor above stderr but those `kept`: close_range(2), once for each gap between them.
pub fn close_all_but(kept: Option<&Fd>) -> Result<()> {
    let mut first = 3;
    // The trace goes on.
    let kept = || kept.map(Fd::raw).into_iter().chain(trace::descriptor());
    while let Some(next) = kept().filter(|fd| *fd >= first).min() {
        if next > first {
            range(first, next - 1, CloseRangeFlags::NONE)?;
        }
        first = next + 1;
    }
    range(first, i32::MAX, CloseRangeFlags::NONE)
}

fn range(first: i32, last: i32, flags: CloseRangeFlags) -> Result<()> {
    // SAFETY: numbers only; who closes, uses none of them any more
    unsafe { sys!(close_range(first, last, flags)) }.of(b"").map(drop)
}

const FD_CLOEXEC: u32 = 1;

/// fsopen(2): what a mount of this type begins with. ENODEV where the kernel has no such filesystem, nor a module.
pub fn fsopen(fstype: &CStr) -> Result<Fd> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { sys!(fsopen(fstype, FD_CLOEXEC)) }.on(None, fstype).map(Fd::own)
}

/// A cgroup filesystem mounted nowhere: fsopen(2), fsconfig(2) for each of `options`, which commas divide, fsmount(2). For
/// hosts that mount none.
pub fn detached_mount(fstype: &'static CStr, options: &[u8]) -> Result<Dir> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    let null = core::ptr::null::<u8>();
    let context = fsopen(fstype)?;
    for option in text::split(options, b',').filter(|option| !option.is_empty()) {
        let option = text::c_string(&[option]);
        // SAFETY: as above; a flag has no value
        unsafe { sys!(fsconfig(context.0, FSCONFIG_SET_FLAG, option, null, 0)) }.on(None, option)?;
    }
    // SAFETY: the command takes neither key nor value
    unsafe { sys!(fsconfig(context.0, FSCONFIG_CMD_CREATE, null, null, 0)) }.on(None, fstype)?;
    // SAFETY: numbers only
    let fd = unsafe { sys!(fsmount(context.0, FD_CLOEXEC, 0)) }.on(None, fstype)?;
    // fsmount gives what O_PATH gives, which getdents64 does not read.
    Dir::open(Some(&Dir { fd: Fd(fd as i32), path: fstype.to_bytes() }), c".")
}

/// The mode of a directory: fstat(2).
pub fn mode(dir: &Dir) -> Result<u32> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills one struct stat, which is libc's on 64-bit architectures
    unsafe { sys!(fstat(dir.fd.0, status.as_mut_ptr())) }.on(Some(dir), c".")?;
    // SAFETY: it has, for the call worked
    Ok(unsafe { status.assume_init() }.st_mode)
}

/// The names of the directories in `dir` that begin with `prefix`: getdents64(2) to the end. Once for
/// each time that it was opened.
pub fn directory_names(dir: &Dir, prefix: &[u8]) -> Result<Vec<&'static CStr>> {
    let mut names = Vec::new();
    let mut buffer = [0u8; 8192];
    loop {
        // SAFETY: the pointer and the length are of one buffer that is ours to write
        let n = unsafe { sys!(getdents64(dir.fd.0, buffer.as_mut_ptr(), buffer.len())) }.on(Some(dir), c".")?;
        if n == 0 {
            return Ok(names);
        }
        let mut rest = buffer.get(..n).unwrap_or_default();
        // struct linux_dirent64: inode (8 bytes), offset (8), length of the record (2), type (1), name with a NUL
        while let Some(&[low, high]) = rest.get(16..18) {
            let record = usize::from(u16::from_ne_bytes([low, high]));
            let name = rest.get(19..record).unwrap_or_default();
            let name = text::split(name, 0).next().unwrap_or_default();
            let is_directory = rest.get(18) == Some(&libc::DT_DIR);
            if is_directory && name.starts_with(prefix) && name != b"." && name != b".." {
                names.push(text::c_string(&[name]));
            }
            rest = rest.get(record..).unwrap_or_default();
        }
    }
}

/// Prints an error on stderr, in one write.
pub fn say(error: Error) {
    let mut line = Vec::new();
    error.print(&mut line);
    // A stderr that is closed or full is the caller's choice.
    if let Err(_unsaid) = write_all(2, &line) {}
}

/// Sends the cause of an error through the pipe between the two processes, in one atomic write: it is smaller than
/// PIPE_BUF.
pub fn send_error(pipe: &Fd, error: Error) -> Result<()> {
    let cause = error.cause();
    // SAFETY: a Cause is Copy and lives in one place; its padding is of no interest to anybody
    unsafe { sys!(write(pipe.0, core::ptr::from_ref(cause), size_of::<Cause>())) }.of(b"error pipe").map(drop)
}

/// Receives what the child has sent; `None` at the end of file.
pub fn receive_error(pipe: &Fd) -> Result<Option<Error>> {
    let mut cause = core::mem::MaybeUninit::<Cause>::uninit();
    // SAFETY: the length is that of the place that is written to
    let n = unsafe { sys!(read(pipe.0, cause.as_mut_ptr(), size_of::<Cause>())) }.of(b"error pipe")?;
    if n != size_of::<Cause>() {
        return Ok(None);
    }
    // SAFETY: these are the bytes of a Cause that `send_error` wrote in a copy of this very program and its memory, so
    // that its &'static str mean the same here; nobody else holds the pipe's other end
    Ok(Some(Error::new(unsafe { cause.assume_init_ref() })))
}
