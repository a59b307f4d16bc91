//! Files and directories by their paths: open(2), mkdir(2), mknod(2), symlink(2), unlink(2), and the control files of cgroups.

use super::fd::{self, Fd, FdRef};
use super::flags::{Access, AtFlags, OpenFlags, ResolveFlags};
use super::gate::About::{In, Path};
use super::gate::{Mode, Object, Outcome, Print, call, word};
use super::record;
use super::stat::{Device, exists, filesystem, magic, statx_fd};
use crate::bytes::{self, FixedBytes, Put};
use crate::error::{Errno, Error, Result};
use ::alloc::vec::Vec;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An open directory.
pub struct Dir {
    fd: Fd,
    /// The path by which messages name it.
    pub path: &'static [u8],
}

impl Dir {
    /// close(2), in a child, which has a copy of what its parent holds open, and does not use it.
    pub fn close_copy(&self) {
        // SAFETY: the child looks at this directory no more. close(2) frees the number whatever it returns.
        let _ = unsafe { call!(close(self.fd())) };
    }

    /// Opens `path`, which no link is to be a part of.
    pub fn open_without_links(path: &'static CStr) -> Result<Dir> {
        let resolve = ResolveFlags::NO_SYMLINKS;
        let open = || openat2_at(FdRef::CWD, path, OpenFlags::DIRECTORY, resolve);
        Ok(Dir { fd: above_the_streams(&open)?, path: path.to_bytes() })
    }

    /// Opens `path`; `below` a directory, or from the working directory.
    pub fn open(below: Option<&Dir>, path: &CStr) -> Result<Dir> {
        let fd = open_below(below, path, OpenFlags::DIRECTORY)?;
        let above = below.map_or(&b""[..], |dir| dir.path);
        Ok(Dir { fd, path: bytes::path_in(above, path.to_bytes()).concat().leak() })
    }

    /// Opens `path`, which may be one that the caller can search, and not read. It is not to lead through a magic link of /proc.
    pub fn open_path(path: &CStr) -> Result<Dir> {
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let fd = above_the_streams(&|| openat2_at(FdRef::CWD, path, flags, ResolveFlags::NO_MAGICLINKS))?;
        Ok(Dir { fd, path: bytes::c_string(&[path.to_bytes()]).to_bytes() })
    }

    /// Opens `path` itself: a symbolic link is not followed.
    pub fn open_itself(path: &CStr) -> Result<Dir> {
        let fd = open_below(None, path, OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW)?;
        Ok(Dir { fd, path: bytes::c_string(&[path.to_bytes()]).to_bytes() })
    }

    /// A directory that another call has opened.
    pub(super) fn of(fd: Fd, path: &'static CStr) -> Dir {
        Dir { fd, path: path.to_bytes() }
    }

    /// The descriptor.
    pub fn fd(&self) -> FdRef<'_> {
        self.fd.borrow()
    }

    /// openat(2) of a file in it.
    pub fn openat(&self, name: &CStr, flags: OpenFlags) -> Result<Fd> {
        open_below(Some(self), name, flags)
    }

    /// The same where others may have put something else than a plain file: [`PLAIN`].
    pub fn open_plain(&self, name: &CStr, flags: OpenFlags) -> Result<Fd> {
        self.openat(name, flags | PLAIN)
    }

    /// mkdirat(2).
    pub fn mkdirat(&self, name: &CStr, mode: u32) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(mkdirat(self.fd(), name, Mode(mode))) }.about(In(self.path, name)).map(drop)
    }

    /// unlinkat(2) of a directory.
    pub fn rmdir(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(unlinkat(self.fd(), name, AtFlags::REMOVEDIR)) }.about(In(self.path, name)).map(drop)
    }

    /// openat(2) of a plain file in it, which is created if it is missing, for its owner alone.
    pub fn create_file(&self, name: &CStr, flags: OpenFlags) -> Result<Fd> {
        let flags = flags | PLAIN | OpenFlags::CREAT | OpenFlags::CLOEXEC;
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(self.fd(), name, flags, Mode(0o600))) }.about(In(self.path, name)).map(Fd::own)
    }

    /// mknodat(2) of a FIFO in it.
    pub fn mkfifo(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(mknodat(self.fd(), name, Mode(libc::S_IFIFO | 0o600), 0)) }.about(In(self.path, name)).map(drop)
    }

    /// A file in it, written whole: whoever reads it sees the old one or the new one.
    pub fn replace_file(&self, name: &CStr, content: &[u8]) -> Result<()> {
        self.write_new(content)?;
        self.rename(NEW, name)
    }

    /// The file [`NEW`] in it, to be renamed.
    pub fn write_new(&self, content: &[u8]) -> Result<()> {
        let file = self.create_file(NEW, OpenFlags::WRONLY | OpenFlags::TRUNC)?;
        fd::write_all(file.borrow(), content).map_err(|e| e.about(&path_below(Some(self), NEW)))
    }

    /// renameat(2) within it.
    pub fn rename(&self, from: &CStr, to: &CStr) -> Result<()> {
        // SAFETY: each &CStr is NUL-terminated and outlives the call
        unsafe { call!(renameat(self.fd(), from, self.fd(), to)) }.about(In(self.path, to)).map(drop)
    }

    /// unlinkat(2) of a file; that it is not there is no failure.
    pub fn unlink(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        match unsafe { call!(unlinkat(self.fd(), name, AtFlags::NONE)) }.about(In(self.path, name)) {
            Err(e) if !e.is(Errno::ENOENT) => Err(e),
            _ => Ok(()),
        }
    }

    /// faccessat(2): whether `name` is there.
    pub fn has(&self, name: &CStr) -> Result<bool> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        match unsafe { call!(faccessat(self.fd(), name, Access::F_OK)) }.about(In(self.path, name)) {
            Ok(_) => Ok(true),
            Err(e) if e.is(Errno::ENOENT) || e.is(Errno::ENODEV) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// write(2) of `value` to the control file `name`, in one call, and pread(2) of what it holds afterwards, which is
    /// returned: control files are written and read whole.
    pub fn write_and_read_back<'a>(&self, name: &CStr, value: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        let file = self.write(name, value)?;
        let len = buffer.len();
        // SAFETY: the slice is ours to write for the time of the call, and as long as `len` says
        let n = unsafe { call!(pread64(file.borrow(), &mut *buffer, len, 0usize)) }.about(In(self.path, name))?;
        Ok(buffer.get(..n).unwrap_or_default())
    }

    /// write(2) of `value` to the control file `name`, which is returned open.
    pub fn write(&self, name: &CStr, value: &[u8]) -> Result<Fd> {
        let file = open_below(Some(self), name, OpenFlags::RDWR)?;
        // SAFETY: the pointer and the length are those of one slice
        unsafe { call!(write(file.borrow(), value, value.len())) }.result().map_err(|e| {
            let mut subject = Vec::new();
            subject.put_quoted(&[value]);
            subject.put(b" to ");
            subject.put_quoted(&[&path_below(Some(self), name)]);
            e.about_text(&subject)
        })?;
        Ok(file)
    }

    /// The file `name`, as much as fits into `buffer`: control files are shorter.
    pub fn read<'a>(&self, name: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        read_up_to(Some(self), name, buffer)
    }

    /// The same where a record says the path, so that a FIFO may be there: open does not wait for its writer, and pread(2) refuses it.
    pub fn read_plain<'a>(&self, name: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        let file = self.open_plain(name, OpenFlags::NONE)?;
        let n = fd::pread(file.borrow(), buffer, 0).map_err(|e| e.about(name.to_bytes()))?;
        Ok(buffer.get(..n).unwrap_or_default())
    }
}

/// open(2) follows no link, and waits for nobody at the other end of a FIFO.
const PLAIN: OpenFlags = OpenFlags::from_bits((libc::O_NOFOLLOW | libc::O_NONBLOCK) as u64);

/// What a file is called until it is whole.
pub const NEW: &CStr = c"new";

/// The path of `name` in a directory; without a directory, `name` itself.
pub fn path_below(below: Option<&Dir>, name: &CStr) -> Vec<u8> {
    bytes::path_in(below.map_or(b"", |dir| dir.path), name.to_bytes()).concat()
}

fn at(dir: Option<&Fd>) -> FdRef<'_> {
    dir.map_or(FdRef::CWD, Fd::borrow)
}

/// openat(2) of `path`, below a directory or from the working directory.
pub fn open_below(below: Option<&Dir>, path: &CStr, flags: OpenFlags) -> Result<Fd> {
    let (dir, above) = below.map_or((FdRef::CWD, &b""[..]), |dir| (dir.fd.borrow(), dir.path));
    above_the_streams(&|| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(dir, path, flags | OpenFlags::CLOEXEC)) }.about(In(above, path)).map(Fd::own)
    })
    .map_err(|e| match path.to_bytes() {
        _ if !e.is(Errno::ENOENT) => e,
        b"/dev/null" => e.with_hint("mknod -m 666 /dev/null c 1 3"),
        name if name.starts_with(b"/proc/") && !exists(c"/proc/self") => e.with_hint(NO_PROC),
        _ => e,
    })
}

/// openat(2) of a path on the host.
pub fn open(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    open_below(None, path, flags)
}

/// openat(2) of what is in an open directory.
pub fn openat(dir: &Fd, name: &CStr, flags: OpenFlags) -> Result<Fd> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(openat(dir.borrow(), name, flags | OpenFlags::CLOEXEC)) }.about(Path(name)).map(Fd::own)
}

/// openat(2) of a file to write to, which is created if it is missing, and emptied. It may stand where others can write: so a
/// link is not followed, nobody waits for the reader of a FIFO, and nobody but its owner, the caller, can read it. A name such as
/// `/dev/stderr` or `/dev/fd/3` is the descriptor itself, which stays as it is.
pub fn create_file(below: Option<&Dir>, path: &CStr) -> Result<Fd> {
    if let Some(number) = descriptor_named(path) {
        return duplicate_named(number, path);
    }
    let (file, kind, is_own) = create_named(below, path, OpenFlags::NONE)?;
    if !is_own && !record::is_on() {
        let hint = "others could read or change it: remove it, or name another file";
        return Err(Error::refused("it belongs to another user:", &path_below(below, path), hint));
    }
    if kind == libc::S_IFREG || record::is_on() {
        let about = |e: Error| e.about(&path_below(below, path));
        ftruncate(&file, 0).map_err(about)?;
        fchmod(file.borrow(), 0o600).map_err(about)?;
    }
    Ok(file)
}

fn duplicate_named(number: usize, path: &CStr) -> Result<Fd> {
    fd::duplicate(number).map_err(|e| e.about(path.to_bytes()).with_hint("the caller has not opened it"))
}

/// Opens a file to write to, which has no other name. Also returns its kind, and whether it is the caller's own.
fn create_named(below: Option<&Dir>, path: &CStr, more: OpenFlags) -> Result<(Fd, u32, bool)> {
    let (dir, above) = below.map_or((FdRef::CWD, &b""[..]), |dir| (dir.fd.borrow(), dir.path));
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::NONBLOCK | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    let file = above_the_streams(&|| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(dir, path, flags | more, Mode(0o600))) }.about(In(above, path)).map(Fd::own)
    })
    .map_err(|e| {
        e.hint_for(&[
            (Errno::ELOOP, "it is a symbolic link, which is not followed: name the file itself, or /dev/fd/N"),
            (Errno::ENXIO, NO_READER),
            (Errno::ENOENT, "its directory is missing, or takes no new files"),
        ])
    })?;
    let status = statx_fd(file.borrow())?;
    // SAFETY: the call takes nothing, and cannot fail
    let own = unsafe { call!(geteuid()) }.result()?;
    if status.kind() == libc::S_IFREG && status.links != 1 && !record::is_on() {
        let hint = "it may be any file of this host: remove it, or name another file";
        return Err(Error::refused("it has another name:", &path_below(below, path), hint));
    }
    Ok((file, status.kind(), status.uid as usize == own || status.kind() == libc::S_IFCHR))
}

/// The descriptor of this process that a path names.
pub fn descriptor_named(path: &CStr) -> Option<usize> {
    let path = path.to_bytes();
    match path {
        b"/dev/stdout" => Some(1),
        b"/dev/stderr" => Some(2),
        _ => {
            let number = path.strip_prefix(b"/dev/fd/").or(path.strip_prefix(b"/proc/self/fd/"))?;
            bytes::decimal(number).ok().map(|number| number as usize)
        }
    }
}

/// ftruncate(2).
pub fn ftruncate(file: &Fd, len: usize) -> Result<()> {
    truncate(file, len).result().map(drop)
}

/// The same; whether it has worked. A failure allocates no error: it may come again and again.
#[must_use]
pub fn try_ftruncate(file: &Fd, len: usize) -> bool {
    truncate(file, len).ok().is_some()
}

fn truncate(file: &Fd, len: usize) -> Outcome {
    // SAFETY: the call takes an open descriptor and a length
    unsafe { call!(ftruncate(file.borrow(), len)) }
}

/// openat(2) of a file to append to, as [`create_file`] does it; one that is there may be somebody else's. Once a FIFO is open, whoever
/// writes to it waits as usual.
pub fn open_to_append(below: Option<&Dir>, path: &CStr) -> Result<Fd> {
    if let Some(number) = descriptor_named(path) {
        return duplicate_named(number, path);
    }
    let (file, ..) = create_named(below, path, OpenFlags::APPEND)?;
    fd::set_status_flags(file.borrow(), OpenFlags::APPEND)?;
    Ok(file)
}

/// What ENXIO says of a FIFO.
const NO_READER: &str = "nobody reads this FIFO";

/// Calls `open` until the descriptor is above 2. If the caller has closed one of the descriptors 0, 1 and 2, the kernel would
/// give that number to a file of ours, which would become a stream of the command or receive our messages: so `/dev/null` is
/// opened there first. Every run opens a file before it makes a pipe or a socket, so looking at what open(2) returns is enough.
fn above_the_streams(open: &dyn Fn() -> Result<Fd>) -> Result<Fd> {
    loop {
        let fd = open()?;
        if fd.borrow().number() > 2 {
            return Ok(fd);
        }
        drop(fd);
        loop {
            // SAFETY: a literal, NUL-terminated
            let null = unsafe { call!(openat(FdRef::CWD, c"/dev/null", OpenFlags::RDWR)) }.about(Path(c"/dev/null"))?;
            if null > 2 {
                drop(Fd::own(null));
                break;
            }
        }
    }
}

/// openat(2) with O_CREAT and O_EXCL: an empty file in `dir`.
pub fn create_empty(dir: &Fd, name: &CStr, mode: u32) -> Result<()> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::CLOEXEC;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(openat(dir.borrow(), name, flags, Mode(mode))) }.about(Path(name)).map(|fd| drop(Fd::own(fd)))
}

/// openat(2) with O_CREAT and O_EXCL, and write(2): a small file, whole, which stays open; or none.
pub fn create(dir: Option<FdRef>, path: &CStr, content: &[u8]) -> Result<Fd> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::CLOEXEC;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let file = unsafe { call!(openat(dir.unwrap_or(FdRef::CWD), path, flags, Mode(0o644))) };
    let file = file.about(Path(path)).map(Fd::own)?;
    match fd::write_all(file.borrow(), content) {
        Ok(()) => Ok(file),
        Err(e) => {
            // SAFETY: a &CStr is NUL-terminated and outlives the call
            let removed = unsafe { call!(unlinkat(dir.unwrap_or(FdRef::CWD), path, AtFlags::NONE)) }.about(Path(path));
            Err(removed.err().unwrap_or(e.about(path.to_bytes())))
        }
    }
}

/// openat(2) of a file that exists, and write(2) of `content` in one call, as files of /proc take it.
pub fn write_file(path: &CStr, content: &[u8]) -> Result<()> {
    let file = open(path, OpenFlags::WRONLY)?;
    fd::write_all(file.borrow(), content).map_err(|e| e.about(path.to_bytes()))
}

/// struct open_how of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: OpenFlags,
    mode: u64,
    resolve: ResolveFlags,
}

impl Object for OpenHow {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{flags=");
        OpenFlags::from_bits(word(bytes, 0)).put(out);
        out.put(b", resolve=");
        ResolveFlags::from_bits(word(bytes, 2)).put(out);
        out.put(b"}");
    });
}

/// openat2(2) below the root of the process. A magic link of /proc, which leads to whatever a descriptor refers to, fails with
/// ELOOP.
pub fn openat2(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    openat2_at(FdRef::CWD, path, flags, ResolveFlags::NO_MAGICLINKS)
        .map_err(|e| e.hint_for(&[(Errno::ELOOP, "a magic link of /proc, or a loop of links")]))
}

/// openat2(2) of a path that has no links in it; ELOOP if it has.
pub fn open_without_links(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    openat2_at(FdRef::CWD, path, flags, ResolveFlags::NO_SYMLINKS)
}

fn openat2_at(dir: FdRef, path: &CStr, flags: OpenFlags, resolve: ResolveFlags) -> Result<Fd> {
    let how = OpenHow { flags: flags | OpenFlags::CLOEXEC, mode: 0, resolve };
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the structure has the size that is passed
    unsafe { call!(openat2(dir, path, &how, size_of::<OpenHow>())) }.about(Path(path)).map(Fd::own)
}

/// openat2(2) below `root`, as if that were the root of the process.
pub fn open_in_root(root: &Fd, path: &CStr, flags: OpenFlags) -> Result<Fd> {
    openat2_at(root.borrow(), path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Whether `path` can be opened as a directory.
pub fn is_directory(path: &CStr) -> bool {
    open(path, OpenFlags::DIRECTORY | OpenFlags::PATH).is_ok()
}

/// Whether the /proc of this process has been found to be one.
static HAS_PROC: AtomicBool = AtomicBool::new(false);

const NO_PROC: &str = "is /proc mounted?";

/// Opens a file to read it. What is read from /proc is what the kernel says: where something else is mounted there, or nothing,
/// whoever made that tree could say what it likes. The first file that is read there tells.
fn open_to_read(below: Option<&Dir>, path: &CStr) -> Result<Fd> {
    let file = open_below(below, path, OpenFlags::NONE)?;
    if below.is_none() && path.to_bytes().starts_with(b"/proc/") && !HAS_PROC.load(Relaxed) {
        if filesystem(file.borrow())? != magic::PROC {
            return Err(Error::refused("not the kernel's:", path.to_bytes(), NO_PROC));
        }
        HAS_PROC.store(true, Relaxed);
    }
    Ok(file)
}

/// The whole file.
pub fn read_file(path: &CStr) -> Result<Vec<u8>> {
    let file = open_to_read(None, path)?;
    let mut content = Vec::new();
    fd::read_to_end(file.borrow(), &mut content).map_err(|e| e.about(path.to_bytes()))?;
    Ok(content)
}

/// One read(2) of a file: its beginning, as much as fits into `buffer`.
pub fn read_up_to<'a>(below: Option<&Dir>, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let file = open_to_read(below, path)?;
    let n = fd::read(file.borrow(), buffer).map_err(|e| e.about(path.to_bytes()))?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// mkdirat(2), below `dir` or from the working directory.
pub fn mkdir(dir: Option<&Fd>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(mkdirat(at(dir), path, Mode(mode))) }.about(Path(path)).map(drop)
}

/// mknodat(2): a device; or, with S_IFREG and no number, an empty file.
pub fn mknod(dir: Option<&Fd>, path: &CStr, mode: u32, device: Device) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(mknodat(at(dir), path, Mode(mode), device.0)) }.about(Path(path)).map(drop)
}

/// symlinkat(2).
pub fn symlink(to: &CStr, dir: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(symlinkat(to, dir.borrow(), path)) }.about(Path(path)).map(drop)
}

/// unlinkat(2) of what has been created below `dir`: a directory, or else a file.
pub fn unlink(dir: &Fd, name: &CStr) -> Result<()> {
    let unlinkat = |flags: AtFlags| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(unlinkat(dir.borrow(), name, flags)) }.about(Path(name)).map(drop)
    };
    match unlinkat(AtFlags::REMOVEDIR) {
        Err(e) if e.is(Errno::ENOTDIR) => unlinkat(AtFlags::NONE),
        other => other,
    }
}

/// fchownat(2).
pub fn chown(path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(fchownat(FdRef::CWD, path, uid, gid, AtFlags::NONE)) }.about(Path(path)).map(drop)
}

/// unlinkat(2) of a file that mydocker has just made, on a way out that has its own failure to tell. One that stays harms nobody.
pub fn unlink_path(path: &CStr) {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let _ = unsafe { call!(unlinkat(FdRef::CWD, path, AtFlags::NONE)) };
}

/// fchmod(2).
pub fn fchmod(fd: FdRef, mode: u32) -> Result<()> {
    // SAFETY: the call takes an open descriptor and a mode
    unsafe { call!(fchmod(fd, Mode(mode))) }.result().map(drop)
}

/// The name of an open file for calls that take only a path; it needs a /proc. It ends with a NUL.
pub fn name_in_proc(fd: FdRef) -> FixedBytes {
    let mut name = FixedBytes::new();
    name.put(b"/proc/self/fd/");
    name.put_decimal(fd.number() as u64);
    name.put(b"\0");
    name
}

/// readlinkat(2) of a descriptor's name in /proc: where a file is, seen from the root of the process.
pub fn path_of(fd: FdRef) -> Result<Vec<u8>> {
    let name = name_in_proc(fd);
    let name = name.as_c_str().unwrap_or_default();
    let mut path = ::alloc::vec![0u8; libc::PATH_MAX as usize];
    let len = path.len();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the buffer is ours to write and as long as `len` says
    let n = unsafe { call!(readlinkat(FdRef::CWD, name, path.as_mut_slice(), len)) }.about(Path(name));
    path.truncate(n.map_err(|e| e.hint_for(&[(Errno::ENOENT, NO_PROC)]))?);
    Ok(path)
}

/// The working directory: readlinkat(2) of its name in /proc.
pub fn working_directory() -> Result<Vec<u8>> {
    path_of(open(c".", OpenFlags::PATH | OpenFlags::DIRECTORY)?.borrow())
}

/// readlinkat(2): what a symbolic link says, in `dir` or at an absolute path.
pub fn readlink<'a>(dir: Option<&Fd>, name: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let len = buffer.len();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the slice is ours to write, and as long as `len` says
    let dir = dir.map_or(FdRef::CWD, Fd::borrow);
    let n = unsafe { call!(readlinkat(dir, name, &mut *buffer, len)) }.about(Path(name))?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(chdir(path)) }
        .about(Path(path))
        .map(drop)
        .map_err(|e| e.hint_for(&[(Errno::ENOENT, "the working directory does not exist")]))
}

/// fchdir(2); `path` names the directory in messages.
pub fn fchdir(fd: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: the call takes an open descriptor
    unsafe { call!(fchdir(fd.borrow())) }.about(Path(path)).map(drop)
}

/// chroot(2) into the working directory.
pub fn chroot() -> Result<()> {
    // SAFETY: a literal, NUL-terminated
    unsafe { call!(chroot(c".")) }.result().map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: the call takes a number. It cannot fail.
    let _ = unsafe { call!(umask(Mode(mask))) };
}

/// The error of an operation that a kernel without a call of Linux 5.12 cannot do.
pub(super) fn needs_5_12(error: Error) -> Error {
    error.hint_for(&[(Errno::ENOSYS, "read-only with the mounts below needs Linux 5.12")])
}
