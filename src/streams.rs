//! The three standard streams: what they may be; and a file as stdin, which the command can read and not write to.

use crate::bytes;
use crate::environment::{get, has_key};
use crate::error::{Errno, Error, Result};
use crate::root::enter::restrict;
use crate::spec::Spec;
use crate::step::{Child, ChildStep};
use crate::sys::{self, Access, Fd, FdRef, MountAttr, MountFlags, OVERFLOW_ID, OpenFlags, Status, Whence};
use crate::userns::Maps;
use core::ffi::CStr;

/// Refuses a directory or an O_PATH descriptor as a stream: through `/proc/self/fd/0/..` it leads to every file of this host.
pub fn check(streams: &[(FdRef, &[u8])]) -> Result<()> {
    for &(stream, name) in streams {
        if sys::is_directory_or_path(stream).map_err(|e| e.about(name))? {
            let hint = "the command could reach this host through it: open a file or a pipe there, or /dev/null";
            return Err(Error::refused("a directory, or an O_PATH descriptor, as a stream:", name, hint));
        }
    }
    Ok(())
}

/// The three standard streams.
pub const STANDARD: [(FdRef<'static>, &[u8]); 3] =
    [(FdRef::STDIN, b"stdin"), (FdRef::STDOUT, b"stdout"), (FdRef::STDERR, b"stderr")];

/// Refuses such a descriptor among those from 3 on that are passed to the command, and a number that is not open: mydocker's own
/// descriptors would get it.
pub fn check_passed(count: i32) -> Result<()> {
    for number in 3..3 + count {
        let name = bytes::to_decimal(number as u64);
        match FdRef::inherited(number) {
            Some(stream) => check(&[(stream, &name)])?,
            None => {
                return Err(Error::refused(
                    "a descriptor to pass is not open:",
                    &name,
                    "open it: mydocker run .. 3<FILE",
                ));
            }
        }
    }
    Ok(())
}

/// Finds the descriptors that the command is to get: those of `--preserve-fds`, or those of LISTEN_FDS, if they are for this
/// process: sd_listen_fds(3). The larger number counts, as with podman.
pub fn find_passed(spec: &mut Spec, environment: &[&'static CStr]) -> Result<()> {
    if let (Some(pid), Some(word)) = (get(environment, b"LISTEN_PID"), get(environment, b"LISTEN_FDS"))
        && bytes::decimal(pid) == Ok(sys::getpid().0 as u64)
    {
        let Some(count) = bytes::decimal(word).ok().filter(|count| *count < MOST_LISTENING) else {
            return Err(Error::usage("LISTEN_FDS is not how many descriptors there are", word));
        };
        if spec.host_pid || spec.pid_of.is_some() {
            let hint = "with --pid the command's pid is not known before: unset LISTEN_FDS, and use --preserve-fds";
            return Err(Error::refused("no LISTEN_FDS:", word, hint));
        }
        spec.passed = spec.passed.max(count as i32);
        // A reaper is the first process, and the command the second.
        spec.listening = alloc::vec![if spec.init { c"LISTEN_PID=2" } else { c"LISTEN_PID=1" }];
        let of_caller = |name: &[u8]| environment.iter().copied().find(|variable| has_key(variable, name));
        spec.listening.extend(of_caller(b"LISTEN_FDS"));
        spec.listening.extend(of_caller(b"LISTEN_FDNAMES"));
    }
    if spec.passed > 0 { check_passed(spec.passed) } else { Ok(()) }
}

/// More than any service manager passes.
const MOST_LISTENING: u64 = 1 << 20;

/// Replaces these streams of the caller with /dev/null.
pub fn leave(streams: &[FdRef]) -> Result<()> {
    let null = sys::open(c"/dev/null", OpenFlags::RDWR)?;
    streams.iter().try_for_each(|stream| sys::dup3(null.borrow(), *stream))
}

/// A file as stdin, opened for reading only.
pub struct Input {
    /// Its path on this host.
    path: &'static CStr,
    /// Which file it is.
    status: Status,
    /// How far the caller has read it.
    offset: u64,
    /// The command may have the id of its owner, who can change its mode.
    has_owner_inside: bool,
}

impl Input {
    /// stdin, if it is such a file. One without a name (a here-document of a shell, a memfd) stays as it is: it has no path by which
    /// a mount of it could be found, and nobody else finds it by one.
    pub fn find(maps: Option<&Maps>, in_userns: bool) -> Result<Option<Input>> {
        let status = sys::statx_fd(FdRef::STDIN).map_err(|e| e.about(b"/proc/self/fd/0"))?;
        let is_file = matches!(status.kind(), libc::S_IFREG | libc::S_IFBLK) && status.links > 0;
        if !is_file || sys::may_write(FdRef::STDIN)? {
            return Ok(None);
        }
        let path = bytes::c_string(&[&sys::path_of(FdRef::STDIN)?]);
        // Outside a user namespace whoever may change its mode may write to it.
        let has_owner_inside = match maps {
            Some(maps) => maps.has_user(status.uid),
            None => in_userns && status.uid != OVERFLOW_ID,
        };
        Ok(Some(Input { path, status, offset: sys::lseek(FdRef::STDIN, 0, Whence::CUR)?, has_owner_inside }))
    }

    /// Opens it again. The descriptor keeps the mount, which is attached nowhere, and the mount forbids what the mode of the
    /// file may allow: to open it for writing (EROFS), to change its mode, and to open a device at all.
    fn open_read_only(&self, child: &mut Child) -> Result<Fd> {
        let tree = sys::open_tree_of_file(self.path)?;
        let found = sys::statx_fd(tree.borrow())?;
        if !child.is_rehearsal && found.identity() != self.status.identity() {
            return Err(Error::refused("another file is there now:", self.path.to_bytes(), ""));
        }
        let file = sys::open(sys::name_in_proc(tree.borrow()).as_c_str().unwrap_or_default(), OpenFlags::NONE)?;
        let attributes = MountAttr::RDONLY | MountAttr::NODEV;
        match sys::mount_setattr(&tree, attributes, MountFlags::NONE, self.path) {
            // Before Linux 5.12 only what is mounted somewhere can become read-only.
            Err(e) if e.is(Errno::ENOSYS) => {
                sys::move_mount(&tree, &sys::open(self.path, OpenFlags::PATH)?, self.path)?;
                restrict(child, &tree, self.path, attributes, MountFlags::NONE)?;
            }
            other => other?,
        }
        Ok(file)
    }

    /// In the parent, once all processes of the container have ended: the caller's stdin is now where the command has read to.
    /// The child has sent its own through `socket`.
    pub fn hand_back(&self, socket: FdRef) -> Result<()> {
        let Some(file) = sys::receive_fd(socket, &mut [0])? else { return Ok(()) };
        match sys::lseek(file.borrow(), 0, Whence::CUR)? {
            // A job in the background that reads nothing does not disturb others.
            offset if offset == self.offset => Ok(()),
            offset => sys::lseek(FdRef::STDIN, offset, Whence::SET).map(drop),
        }
    }
}

step! {
    /// Opens the file that is stdin again, so that it cannot be written to through /proc/self/fd/0.
    pub struct ReopenStdin {
        /// The file.
        pub input: &'static Input,
    }
}

impl ChildStep for ReopenStdin {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let file = match self.input.open_read_only(child) {
            // Where the file itself forbids it, nothing is lost.
            Err(_) if !self.input.has_owner_inside && !sys::has_access(c"/proc/self/fd/0", Access::W_OK) => {
                return Ok(());
            }
            Err(e) => {
                let hint = "stdin cannot be made read-only: give it to the command through a pipe, as in: cat FILE | mydocker run ..";
                return Err(e.about(self.input.path.to_bytes()).with_hint(hint));
            }
            Ok(file) => file,
        };
        if self.input.offset > 0 {
            sys::lseek(file.borrow(), self.input.offset, Whence::SET)?;
        }
        if let Some(socket) = child.pipes.input_send.take() {
            sys::send_fd(socket.borrow(), file.borrow(), b"\0")?;
        }
        sys::dup3(file.borrow(), FdRef::STDIN)
    }
}
