//! Files and directories: open(2), mkdir(2), mknod(2), symlink(2), unlink(2), stat(2), flock(2), getdents(2), and the
//! control files of cgroups.

use super::fd::{self, Fd, FdRef};
use super::flags::{Access, AtFlags, Lock, OpenFlags, ResolveFlags, StatxMask, Whence};
use super::gate::{Mode, Null, Object, Outcome, Print, call, word};
use super::record;
use super::time::nanosleep;
use crate::bytes::{self, FixedBytes, Put};
use crate::error::{Errno, Error, Result};
use ::alloc::boxed::Box;
use ::alloc::vec::Vec;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An open directory, with the path by which messages name it.
pub struct Dir {
    fd: Fd,
    path: &'static [u8],
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
        Ok(Dir { fd, path: bytes::c_string(&path_below(below, path)).to_bytes() })
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

    /// The path by which messages name it.
    pub fn path(&self) -> &'static [u8] {
        self.path
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
        unsafe { call!(mkdirat(self.fd(), name, Mode(mode))) }.about_path_in(Some(self), name).map(drop)
    }

    /// unlinkat(2) of a directory.
    pub fn rmdir(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(unlinkat(self.fd(), name, AtFlags::REMOVEDIR)) }.about_path_in(Some(self), name).map(drop)
    }

    /// openat(2) of a plain file in it, which is created if it is missing, for its owner alone.
    pub fn create_file(&self, name: &CStr, flags: OpenFlags) -> Result<Fd> {
        let flags = flags | PLAIN | OpenFlags::CREAT | OpenFlags::CLOEXEC;
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(self.fd(), name, flags, Mode(0o600))) }.about_path_in(Some(self), name).map(Fd::own)
    }

    /// mknodat(2) of a FIFO in it.
    pub fn mkfifo(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(mknodat(self.fd(), name, Mode(libc::S_IFIFO | 0o600), 0)) }
            .about_path_in(Some(self), name)
            .map(drop)
    }

    /// A file in it, written whole: whoever reads it sees the old one or the new one.
    pub fn replace_file(&self, name: &CStr, content: &[u8]) -> Result<()> {
        self.write_new(content)?;
        self.rename(NEW, name)
    }

    /// The file [`NEW`] in it, to be renamed.
    pub fn write_new(&self, content: &[u8]) -> Result<()> {
        let file = self.create_file(NEW, OpenFlags::WRONLY | OpenFlags::TRUNC)?;
        fd::write_all(file.borrow(), content).map_err(|e| e.about(&path_below(Some(self), NEW).concat()))
    }

    /// renameat(2) within it.
    pub fn rename(&self, from: &CStr, to: &CStr) -> Result<()> {
        // SAFETY: each &CStr is NUL-terminated and outlives the call
        unsafe { call!(renameat(self.fd(), from, self.fd(), to)) }.about_path_in(Some(self), to).map(drop)
    }

    /// unlinkat(2) of a file; that it is not there is no failure.
    pub fn unlink(&self, name: &CStr) -> Result<()> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        match unsafe { call!(unlinkat(self.fd(), name, AtFlags::NONE)) }.about_path_in(Some(self), name) {
            Err(e) if !e.is(Errno::ENOENT) => Err(e),
            _ => Ok(()),
        }
    }

    /// faccessat(2): whether `name` is there.
    pub fn has(&self, name: &CStr) -> Result<bool> {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        match unsafe { call!(faccessat(self.fd(), name, Access::F_OK)) }.about_path_in(Some(self), name) {
            Ok(_) => Ok(true),
            Err(e) if e.is(Errno::ENOENT) || e.is(Errno::ENODEV) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// write(2) of `value` to the control file `name`, in one call, and pread(2) of what it holds afterwards, which is
    /// returned: control files are written and read whole.
    pub fn write_and_read_back<'a>(&self, name: &CStr, value: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        let file = self.openat(name, OpenFlags::RDWR)?;
        self.write_value(&file, name, value)?;
        let len = buffer.len();
        // SAFETY: the slice is ours to write for the time of the call, and as long as `len` says
        let n = unsafe { call!(pread64(file.borrow(), &mut *buffer, len, 0usize)) }.about_path_in(Some(self), name)?;
        Ok(buffer.get(..n).unwrap_or_default())
    }

    /// write(2) of `value` to the control file `name`.
    pub fn write(&self, name: &CStr, value: &[u8]) -> Result<()> {
        let file = open_below(Some(self), name, OpenFlags::RDWR)?;
        self.write_value(&file, name, value)
    }

    fn write_value(&self, file: &Fd, name: &CStr, value: &[u8]) -> Result<()> {
        // SAFETY: the pointer and the length are those of one slice
        let written = unsafe { call!(write(file.borrow(), value, value.len())) };
        match written.ok() {
            Some(_) => Ok(()),
            None => {
                let mut subject = Vec::new();
                subject.put_quoted(&[value]);
                subject.put(b" to ");
                Err(written.failure(&subject, &path_below(Some(self), name)))
            }
        }
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

/// The path of `name` in a directory, in parts; without a directory, `name` itself.
fn path_below<'a>(below: Option<&Dir>, name: &'a CStr) -> [&'a [u8]; 3] {
    let name = name.to_bytes();
    let Some(dir) = below else { return [name, b"", b""] };
    match name.strip_prefix(b".").unwrap_or(name) {
        [] => [dir.path, b"", b""],
        [b'/', rest @ ..] => [dir.path, b"/", rest],
        _ => [dir.path, b"/", name],
    }
}

impl Outcome {
    /// The value, or the failure with the path of `name`, which begins at `below` if it is not absolute.
    fn about_path_in(self, below: Option<&Dir>, name: &CStr) -> Result<usize> {
        self.about_parts(&path_below(below, name))
    }
}

fn at(dir: Option<&Fd>) -> FdRef<'_> {
    dir.map_or(FdRef::CWD, Fd::borrow)
}

/// openat(2) of `path`, below a directory or from the working directory.
pub fn open_below(below: Option<&Dir>, path: &CStr, flags: OpenFlags) -> Result<Fd> {
    let dir = below.map_or(FdRef::CWD, Dir::fd);
    above_the_streams(&|| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(dir, path, flags | OpenFlags::CLOEXEC)) }.about_path_in(below, path).map(Fd::own)
    })
}

/// openat(2) of a path on the host.
pub fn open(path: &CStr, flags: OpenFlags) -> Result<Fd> {
    open_below(None, path, flags)
}

/// openat(2) of what is in an open directory.
pub fn openat(dir: &Fd, name: &CStr, flags: OpenFlags) -> Result<Fd> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(openat(dir.borrow(), name, flags | OpenFlags::CLOEXEC)) }.about_path(name).map(Fd::own)
}

/// openat(2) of a file to write to, which is created if it is missing, and emptied. It may stand where others can write: so a
/// link is not followed, nobody waits for the reader of a FIFO, and nobody but its owner, the caller, can read it. A name such as
/// `/dev/stderr` or `/dev/fd/3` is the descriptor itself, which stays as it is.
pub fn create_file(path: &CStr) -> Result<Fd> {
    if let Some(number) = descriptor_named(path.to_bytes()) {
        return fd::duplicate(number).map_err(|e| e.about(path.to_bytes()).with_hint("the caller has not opened it"));
    }
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::NONBLOCK | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    let file = above_the_streams(&|| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(openat(FdRef::CWD, path, flags, Mode(0o600))) }.about_path(path).map(Fd::own)
    })
    .map_err(|e| {
        e.hint_for(&[
            (Errno::ELOOP, "it is a symbolic link, which is not followed: name the file itself, or /dev/fd/N"),
            (Errno::ENXIO, NO_READER),
        ])
    })?;
    let status = statx_fd(file.borrow())?;
    // SAFETY: the call takes nothing, and cannot fail
    let own = unsafe { call!(geteuid()) }.result()?;
    let is_own = status.uid as usize == own && (status.kind() != libc::S_IFREG || status.links == 1);
    if !is_own && status.kind() != libc::S_IFCHR && !record::is_on() {
        let hint = "others could read or change it: remove it, or name another file";
        return Err(Error::refused("it belongs to another user, or has another name:", path.to_bytes(), hint));
    }
    if status.kind() == libc::S_IFREG || record::is_on() {
        ftruncate(&file, 0).map_err(|e| e.about(path.to_bytes()))?;
        fchmod(file.borrow(), 0o600).map_err(|e| e.about(path.to_bytes()))?;
    }
    Ok(file)
}

/// The descriptor that a path names.
fn descriptor_named(path: &[u8]) -> Option<usize> {
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

/// openat(2) of a file to append to, which is created if it is missing. It does not wait for the reader of a FIFO: ENXIO.
/// Once the FIFO is open, whoever writes to it waits as usual.
pub fn open_to_append(path: &CStr) -> Result<Fd> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::APPEND | OpenFlags::NONBLOCK | OpenFlags::CLOEXEC;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let file = unsafe { call!(openat(FdRef::CWD, path, flags, Mode(0o600))) }
        .about_path(path)
        .map_err(|e| e.hint_for(&[(Errno::ENXIO, NO_READER)]))
        .map(Fd::own)?;
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
            let null = unsafe { call!(openat(FdRef::CWD, c"/dev/null", OpenFlags::RDWR)) }.about_path(c"/dev/null")?;
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
    unsafe { call!(openat(dir.borrow(), name, flags, Mode(mode))) }.about_path(name).map(|fd| drop(Fd::own(fd)))
}

/// openat(2) with O_CREAT and O_EXCL, and write(2): a small file, whole, which stays open.
pub fn create(dir: Option<&Fd>, path: &CStr, content: &[u8]) -> Result<Fd> {
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::CLOEXEC;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    let file = unsafe { call!(openat(at(dir), path, flags, Mode(0o644))) }.about_path(path).map(Fd::own)?;
    fd::write_all(file.borrow(), content).map_err(|e| e.about(path.to_bytes()))?;
    Ok(file)
}

/// openat(2) of a file that exists, and write(2) of `content` in one call, as files of /proc take it.
pub fn write_file(path: &CStr, content: &[u8]) -> Result<()> {
    let file = open(path, OpenFlags::WRONLY)?;
    fd::write_all(file.borrow(), content).map_err(|e| e.about(path.to_bytes()))
}

/// struct open_how of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
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
    let how = OpenHow { flags: (flags | OpenFlags::CLOEXEC).bits(), mode: 0, resolve: resolve.bits() };
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the structure has the size that is passed
    unsafe { call!(openat2(dir, path, &how, size_of::<OpenHow>())) }.about_path(path).map(Fd::own)
}

/// openat2(2) below `root`, as if that were the root of the process.
pub fn open_in_root(root: &Fd, path: &CStr, flags: OpenFlags) -> Result<Fd> {
    openat2_at(root.borrow(), path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// faccessat(2): whether there is something at `path`.
pub fn exists(path: &CStr) -> bool {
    has_access(path, Access::F_OK)
}

/// faccessat(2): whether `path` may be executed.
pub fn is_executable(path: &CStr) -> bool {
    has_access(path, Access::X_OK)
}

/// faccessat(2): whether this process has this access to `path`.
pub fn has_access(path: &CStr, access: Access) -> bool {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(faccessat(FdRef::CWD, path, access)) }.ok().is_some()
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
    let file = open_below(below, path, OpenFlags::NONE).map_err(|e| match e.is(Errno::ENOENT) {
        true if path.to_bytes().starts_with(b"/proc/self/") => e.with_hint(NO_PROC),
        _ => e,
    })?;
    if below.is_none() && path.to_bytes().starts_with(b"/proc/") && !HAS_PROC.load(Relaxed) {
        if !is_on_proc(file.borrow())? {
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
    unsafe { call!(mkdirat(at(dir), path, Mode(mode))) }.about_path(path).map(drop)
}

/// mknodat(2): a device; or, with S_IFREG and no number, an empty file.
pub fn mknod(dir: Option<&Fd>, path: &CStr, mode: u32, device: Device) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(mknodat(at(dir), path, Mode(mode), device.0)) }.about_path(path).map(drop)
}

/// The number of a device, as mknod(2) takes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Device(u32);

impl Device {
    /// No device.
    pub const NONE: Self = Device(0);
    /// The device that everything written to vanishes in.
    pub const NULL: Self = Device::new(1, 3);

    /// The lower 8 bits of the minor number stand below the 12 of the major number, the rest above: `new_encode_dev` of the kernel.
    pub const fn new(major: u32, minor: u32) -> Device {
        Device((minor & !0xff) << 12 | major << 8 | minor & 0xff)
    }

    /// Major and minor number.
    pub const fn parts(number: u32) -> (u32, u32) {
        (number >> 8 & 0xfff, number >> 12 & !0xff | number & 0xff)
    }
}

/// symlinkat(2).
pub fn symlink(to: &CStr, dir: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(symlinkat(to, dir.borrow(), path)) }.about_path(path).map(drop)
}

/// unlinkat(2) of what has been created below `dir`: a directory, or else a file.
pub fn unlink(dir: &Fd, name: &CStr) -> Result<()> {
    let unlinkat = |flags: AtFlags| {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(unlinkat(dir.borrow(), name, flags)) }.about_path(name).map(drop)
    };
    match unlinkat(AtFlags::REMOVEDIR) {
        Err(e) if e.is(Errno::ENOTDIR) => unlinkat(AtFlags::NONE),
        other => other,
    }
}

/// The fields of statx(2) that mydocker uses.
#[derive(Clone, Copy)]
pub struct Status {
    /// Type and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// The device that it is on, and its number there.
    pub device: (u32, u32),
    /// See `device`.
    pub inode: u64,
    /// The device that it is a node of.
    pub rdev: Device,
}

impl Status {
    /// S_IFDIR, S_IFREG ...
    pub fn kind(self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

impl Object for libc::statx {}
impl Object for libc::stat {}
impl Object for libc::statfs {}

/// An object of zeros for the kernel to fill.
fn zeroed<T: Object>() -> T {
    // SAFETY: the only types above are structures of numbers, for which zeros are a value
    unsafe { core::mem::zeroed() }
}

/// statx(2) of `path`; of what a symbolic link leads to with `follow`, else of the link itself.
pub fn statx(path: &CStr, follow: bool) -> Result<Status> {
    let flags = if follow { AtFlags::NONE } else { AtFlags::SYMLINK_NOFOLLOW };
    statx_at(FdRef::CWD, path, flags)
}

/// statx(2) of an open file.
pub fn statx_fd(fd: FdRef) -> Result<Status> {
    statx_at(fd, c"", AtFlags::EMPTY_PATH)
}

fn statx_at(fd: FdRef, path: &CStr, flags: AtFlags) -> Result<Status> {
    let status = call_statx(fd, path, flags, StatxMask::BASIC_STATS)?;
    Ok(Status {
        mode: u32::from(status.stx_mode),
        uid: status.stx_uid,
        gid: status.stx_gid,
        size: status.stx_size,
        links: status.stx_nlink,
        device: (status.stx_dev_major, status.stx_dev_minor),
        inode: status.stx_ino,
        rdev: Device(status.stx_rdev_major << 8 | status.stx_rdev_minor),
    })
}

fn call_statx(fd: FdRef, path: &CStr, flags: AtFlags, mask: StatxMask) -> Result<libc::statx> {
    let mut status = zeroed::<libc::statx>();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statx
    unsafe { call!(statx(fd, path, flags, mask, &mut status)) }.about_path(path)?;
    Ok(status)
}

/// statx(2): the id that mountinfo has for the mount that an open file is in; `path` names it in messages.
pub fn mount_id(fd: &Fd, path: &CStr) -> Result<u64> {
    let status = call_statx(fd.borrow(), c"", AtFlags::EMPTY_PATH, StatxMask::MNT_ID);
    status.map(|status| status.stx_mnt_id).map_err(|e| e.about(path.to_bytes()))
}

/// The same for the mount that `path` leads to without a link.
pub fn mount_id_at(path: &CStr) -> Result<u64> {
    call_statx(FdRef::CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxMask::MNT_ID).map(|status| status.stx_mnt_id)
}

/// The mode of a directory: fstat(2).
pub fn mode(dir: &Dir) -> Result<u32> {
    let mut status = zeroed::<libc::stat>();
    // SAFETY: the kernel fills one struct stat, which is libc's on 64-bit architectures
    unsafe { call!(fstat(dir.fd(), &mut status)) }.about_path_in(Some(dir), c".")?;
    Ok(status.st_mode)
}

/// fstatfs(2): whether an open file is on a filesystem of the type of /proc.
#[allow(clippy::unnecessary_cast)] // f_type is signed with glibc, and not with musl
pub fn is_on_proc(fd: FdRef) -> Result<bool> {
    Ok(filesystem(fd)? == libc::PROC_SUPER_MAGIC as u64)
}

/// fstatfs(2): whether an open directory is one of cgroups.
#[allow(clippy::unnecessary_cast)] // as above
pub fn is_on_cgroup(dir: &Dir) -> Result<bool> {
    let found = filesystem(dir.fd()).map_err(|e| e.about(dir.path))?;
    Ok([libc::CGROUP_SUPER_MAGIC as u64, libc::CGROUP2_SUPER_MAGIC as u64].contains(&found))
}

#[allow(clippy::unnecessary_cast)] // as above
fn filesystem(fd: FdRef) -> Result<u64> {
    let mut status = zeroed::<libc::statfs>();
    // SAFETY: the kernel fills one struct statfs
    unsafe { call!(fstatfs(fd, &mut status)) }.result()?;
    Ok(status.f_type as u64)
}

/// fstatfs(2): how many bytes the filesystem of an open file has, and how many of them are free.
#[allow(clippy::unnecessary_cast)] // f_bsize is signed with glibc, and not with musl
pub fn space(fd: &Fd) -> Result<(u64, u64)> {
    let mut status = zeroed::<libc::statfs>();
    // SAFETY: the kernel fills one struct statfs
    unsafe { call!(fstatfs(fd.borrow(), &mut status)) }.result()?;
    let size = status.f_bsize as u64;
    Ok((status.f_blocks * size, status.f_bfree * size))
}

/// fstatfs(2): whether a descriptor is one of pipe(2). A FIFO with a name, or a descriptor that is not open, is not.
pub fn is_pipe(fd: FdRef) -> Result<bool> {
    match filesystem(fd) {
        Err(e) if e.is(Errno::EBADF) => Ok(false),
        found => Ok(found? == PIPEFS_MAGIC),
    }
}

/// Of <linux/magic.h>.
const PIPEFS_MAGIC: u64 = 0x5049_5045;

/// statfs(2): whether `path` is in a cgroup filesystem.
#[allow(clippy::unnecessary_cast)] // as above
pub fn is_cgroup(path: &CStr) -> bool {
    let mut status = zeroed::<libc::statfs>();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the kernel fills one struct statfs
    let found = unsafe { call!(statfs(path, &mut status)) }.ok().is_some();
    found && [libc::CGROUP_SUPER_MAGIC as u64, libc::CGROUP2_SUPER_MAGIC as u64].contains(&(status.f_type as u64))
}

/// fchownat(2).
pub fn chown(path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(fchownat(FdRef::CWD, path, uid, gid, AtFlags::NONE)) }.about_path(path).map(drop)
}

/// flock(2) of a file. `Ok(false)`: another process holds it, and `how` does not wait.
pub fn lock_file(file: &Fd, how: Lock) -> Result<bool> {
    flock_fd(file.borrow(), how).unless_would_block().map(|locked| locked.is_some())
}

fn flock_fd(fd: FdRef, how: Lock) -> Outcome {
    // SAFETY: the call takes an open descriptor and flags
    unsafe { call!(flock(fd, how)) }
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

/// flock(2) LOCK_EX, without waiting. `Ok(false)`: another process holds it.
pub fn flock(dir: &Dir) -> Result<bool> {
    lock(dir, Lock::EX | Lock::NB)
}

/// flock(2). `Ok(false)`: another process holds it, and `how` does not wait.
pub fn lock(dir: &Dir, how: Lock) -> Result<bool> {
    let outcome = flock_fd(dir.fd(), how);
    // An error would allocate each time.
    if outcome.is(Errno::EWOULDBLOCK) {
        return Ok(false);
    }
    outcome.about_path_in(Some(dir), c".").map(|_| true)
}

/// Locks a directory that others hold for moments only.
pub fn lock_soon(dir: &Dir) -> Result<()> {
    lock_file_soon(dir.fd(), Lock::EX, dir.path(), "is a mydocker stopped?")
}

/// Locks what others hold for moments only. All signals may be blocked meanwhile, and one of the others may have been stopped: so
/// it does not wait for ever. Forty that come or go at once took two seconds on an emulated processor.
pub fn lock_file_soon(file: FdRef, how: Lock, path: &[u8], hint: &'static str) -> Result<()> {
    for _ in 0..5000 {
        // An error would allocate each time.
        let outcome = flock_fd(file, how | Lock::NB);
        if !outcome.is(Errno::EWOULDBLOCK) {
            return outcome.result().map(drop).map_err(|e| e.about(path));
        }
        nanosleep(1_000_000)?;
    }
    Err(Error::refused("another process holds", path, hint))
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
    let n = unsafe { call!(readlinkat(FdRef::CWD, name, path.as_mut_slice(), len)) }.about_path(name);
    path.truncate(n.map_err(|e| e.hint_for(&[(Errno::ENOENT, NO_PROC)]))?);
    Ok(path)
}

/// The working directory: readlinkat(2) of its name in /proc.
pub fn working_directory() -> Result<Vec<u8>> {
    path_of(open(c".", OpenFlags::PATH | OpenFlags::DIRECTORY)?.borrow())
}

/// readlinkat(2): what a symbolic link in `dir` says.
pub fn readlink<'a>(dir: &Fd, name: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let len = buffer.len();
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the slice is ours to write, and as long as `len` says
    let n = unsafe { call!(readlinkat(dir.borrow(), name, &mut *buffer, len)) }.about_path(name)?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(chdir(path)) }
        .about_path(path)
        .map(drop)
        .map_err(|e| e.hint_for(&[(Errno::ENOENT, "the working directory does not exist")]))
}

/// fchdir(2); `path` names the directory in messages.
pub fn fchdir(fd: &Fd, path: &CStr) -> Result<()> {
    // SAFETY: the call takes an open descriptor
    unsafe { call!(fchdir(fd.borrow())) }.about_path(path).map(drop)
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

/// The numbers of the descriptors from `first` on that are open, as far as /proc tells.
pub fn open_descriptors(first: i32) -> Vec<i32> {
    let mut numbers = Vec::new();
    if let Ok(dir) = Dir::open(None, c"/proc/self/fd") {
        let mut names = Vec::new();
        while read_names(&dir, libc::DT_LNK, b"", &mut names).is_ok_and(|n| n > 0) {}
        for name in names {
            match bytes::decimal(name.to_bytes()) {
                Ok(number) if number as i32 >= first && number as i32 != dir.fd().number() => {
                    numbers.push(number as i32)
                }
                _ => {}
            }
        }
    }
    numbers
}

/// The names of the directories in `dir` that begin with `prefix`: getdents64(2) to the end. The position stays at the end, so
/// a second call on the same open directory finds nothing.
pub fn directory_names(dir: &Dir, prefix: &[u8]) -> Result<Vec<&'static CStr>> {
    let mut names = Vec::new();
    // No directory is empty: a dry run, to which the kernel gives no entry, shows that the end takes a second call.
    if record::is_on() {
        read_names(dir, libc::DT_DIR, prefix, &mut names)?;
    }
    while read_names(dir, libc::DT_DIR, prefix, &mut names)? > 0 {}
    Ok(names)
}

/// The first of them, in one read; or `all`, in as many as it takes.
pub fn first_directory_names(dir: &Dir, all: bool) -> Result<Vec<&'static CStr>> {
    let mut names = Vec::new();
    if read_names(dir, libc::DT_DIR, b"", &mut names)? > NAMES / 2 && all {
        while read_names(dir, libc::DT_DIR, b"", &mut names)? > 0 {}
    }
    Ok(names)
}

/// Some of them, in at most two reads, however many there are: the first ones, and in a large directory of a cgroup filesystem those
/// from `position` on. There a position is a hash of the name, of 31 bits.
pub fn some_directory_names(dir: &Dir, prefix: &[u8], position: usize) -> Result<Vec<&'static CStr>> {
    // Room for two reads of short names, of which nothing is touched before it is used: a list that grows leaves its old blocks behind.
    let mut names = Vec::with_capacity(NAMES / 20);
    if read_names(dir, libc::DT_DIR, prefix, &mut names)? > NAMES / 2 {
        fd::lseek(dir.fd(), (position >> 1) as u64, Whence::SET)?;
        read_names(dir, libc::DT_DIR, prefix, &mut names)?;
    }
    Ok(names)
}

/// How many bytes one read of a directory takes.
const NAMES: usize = 8192;

/// One getdents64(2) for the names of this kind, and how many bytes it has read.
fn read_names(dir: &Dir, kind: u8, prefix: &[u8], names: &mut Vec<&'static CStr>) -> Result<usize> {
    // The kernel leaves gaps between the names, which a trace would show.
    let mut buffer = [0u8; NAMES];
    // SAFETY: the buffer is ours to write and as long as NAMES says
    let n = unsafe { call!(getdents64(dir.fd(), buffer.as_mut_slice(), NAMES)) }.about_path_in(Some(dir), c".")?;
    let mut rest = buffer.get(..n).unwrap_or_default();
    // struct linux_dirent64: inode (8 bytes), offset (8), length of the record (2), type (1), name with a NUL
    while let Some((header, name)) = rest.split_first_chunk::<19>() {
        let name = CStr::from_bytes_until_nul(name).unwrap_or_default();
        if header[18] == kind && name.to_bytes().starts_with(prefix) && name != c"." && name != c".." {
            names.push(Box::leak(Box::<CStr>::from(name)));
        }
        let record = u16::from_ne_bytes([header[16], header[17]]);
        rest = rest.get(usize::from(record)..).unwrap_or_default();
    }
    Ok(n)
}

/// Whether a stream is a directory, or a descriptor of O_PATH. getdents64(2) without room for an entry changes nothing: ENOTDIR
/// is its answer for anything else that is open.
pub fn is_directory_or_path(stream: FdRef) -> Result<bool> {
    // SAFETY: the kernel writes nothing where the buffer has no room
    match unsafe { call!(getdents64(stream, Null, 0usize)) }.result() {
        Err(e) if e.is(Errno::ENOTDIR) => Ok(false),
        Err(e) if !e.is_one_of(&[Errno::EBADF, Errno::EINVAL]) => Err(e),
        _ => Ok(true),
    }
}

/// The error of an operation that a kernel without a call of Linux 5.12 cannot do.
pub(super) fn needs_5_12(error: Error) -> Error {
    error.hint_for(&[(Errno::ENOSYS, "read-only with the mounts below needs Linux 5.12")])
}
