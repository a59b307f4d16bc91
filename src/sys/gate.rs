//! The one place that enters the kernel (clone, which returns twice, has its own way in: `clone.rs`).

use super::files::Dir;
use super::flags::SigSet;
use super::trace;
use crate::error::{Error, Result};
use crate::text::{self, Text};
use core::ffi::CStr;
use syscalls::{Errno, Sysno};

/// An argument of a system call: a type that knows its register value, and how it is shown. A shared reference stays valid
/// for the call because it is borrowed for it.
pub trait Arg {
    /// How the register is shown; 0 is for no argument.
    const KIND: u8;
    /// The value that goes into the register.
    fn reg(&self) -> usize;
}

/// A number with a sign, of 32 bits.
pub(super) const SIGNED: u8 = 1;
/// A number.
pub(super) const UNSIGNED: u8 = 2;
/// Permissions, and perhaps the type of a file.
pub(super) const OCTAL: u8 = 3;
/// An address.
pub(super) const ADDRESS: u8 = 4;
/// Where a string is that a NUL ends.
pub(super) const STRING: u8 = 5;
/// Where bytes are, as many as the next argument says.
pub(super) const BYTES: u8 = 6;
/// Where bytes are put, as many as the call returns.
pub(super) const ROOM: u8 = 7;
/// Where a number of 32 bits is.
pub(super) const NUMBER_AT: u8 = 8;
/// Where two of them are put.
pub(super) const PAIR_AT: u8 = 9;
/// Where a set of signals is.
pub(super) const SIGNALS: u8 = 10;
/// Where a list of strings is that a null ends.
pub(super) const STRINGS: u8 = 11;
/// From here on: the types of `flags.rs`, in the order of its list.
pub(super) const NAMED: u8 = 12;

/// Permissions for a file that is made, and perhaps its type.
#[derive(Clone, Copy)]
pub(super) struct Mode(pub u32);

macro_rules! args {
    ($($type:ty: $kind:ident, |$value:ident| $register:expr;)*) => { $(impl Arg for $type {
        const KIND: u8 = $kind;
        fn reg(&self) -> usize {
            let $value = *self;
            $register as usize
        }
    })* };
}
args! {
    i32: SIGNED, |n| n;
    u16: UNSIGNED, |n| n;
    u32: UNSIGNED, |n| n;
    u64: UNSIGNED, |n| n;
    usize: UNSIGNED, |n| n;
    Mode: OCTAL, |mode| mode.0;
    &CStr: STRING, |string| string.as_ptr();
    &SigSet: SIGNALS, |set| core::ptr::from_ref(set);
}

/// What a pointer points to.
pub trait Pointee {
    /// How it is shown where the kernel reads it.
    const READ: u8 = ADDRESS;
    /// How it is shown where the kernel writes it.
    const WRITTEN: u8 = ADDRESS;
}

macro_rules! pointees {
    ($($type:ty $(: $read:ident, $written:ident)?;)*) => { $(impl Pointee for $type {
        $(const READ: u8 = $read;
        const WRITTEN: u8 = $written;)?
    })* };
}
pointees! {
    u8: BYTES, ROOM;
    i8: STRING, ADDRESS;
    i32: NUMBER_AT, NUMBER_AT;
    [i32; 2]: PAIR_AT, PAIR_AT;
    SigSet: SIGNALS, SIGNALS;
    u16;
    u32;
    i64;
    u64;
    usize;
    [u32; 3];
    libc::stat;
    libc::statx;
    libc::msghdr;
    libc::pollfd;
    libc::sock_fprog;
    *const core::ffi::c_char: STRINGS, ADDRESS;
    libc::statfs;
    crate::error::Cause;
    super::process::IfReq;
    super::terminal::Termios;
    super::poll::Poll;
}

impl<T: Pointee> Arg for *const T {
    const KIND: u8 = T::READ;
    fn reg(&self) -> usize {
        *self as usize
    }
}

impl<T: Pointee> Arg for *mut T {
    const KIND: u8 = T::WRITTEN;
    fn reg(&self) -> usize {
        *self as usize
    }
}

/// All calls that mydocker makes, but for clone3, by the names that people know them by.
const NAMES: &str = "capset chdir chroot clock_gettime clone close close_range dup3 execve exit_group faccessat fchdir \
    fchown fchownat flock fsconfig fsmount fsopen fstat fstatfs getdents64 getegid geteuid getpgid getpid getrusage getsid \
    ioctl kill mkdirat mknodat mmap mount mount_setattr move_mount mprotect nanosleep open_tree openat openat2 pipe2 \
    pivot_root ppoll prctl pread64 prlimit64 read readlinkat recvmsg rt_sigaction rt_sigprocmask rt_sigtimedwait seccomp \
    sendmsg setgid setgroups sethostname setpgid setsid setuid signalfd4 socket socketpair statfs statx symlinkat umask \
    umount2 uname unlinkat unshare wait4 waitid write ";

/// A call, by its number and its name, and how its arguments are shown. There is one for each place in the source that
/// makes it, but for those that are alike.
pub struct Call {
    /// The kinds of its arguments, five bits each, the first one lowest.
    pub(super) kinds: u32,
    /// What the kernel knows it by.
    pub number: Sysno,
    /// Where its name begins in [`NAMES`].
    name: u16,
}

impl Call {
    /// What people know it by.
    pub fn name(&self) -> &'static str {
        let name = text::words(NAMES.as_bytes().get(self.name.into()..).unwrap_or_default()).next();
        core::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }
}

/// Where `name` begins in [`NAMES`].
pub(super) const fn place(name: &str) -> u16 {
    text::place(NAMES.as_bytes(), b' ', name.as_bytes()).0
}

const fn kinds(list: &[u8]) -> u32 {
    let (mut kinds, mut at) = (0, list.len());
    while at > 0 {
        at -= 1;
        assert!(list[at] < 32);
        kinds = kinds << 5 | list[at] as u32;
    }
    kinds
}

/// What `sys!` makes a type of its own for, so that the call and the types of its arguments are constants together.
pub trait Named {
    const NUMBER: Sysno;
    const NAME: u16;
}

/// What the kernel has returned. It must be looked at: by `at` or `of`, which add to a failure what the call was about.
#[must_use]
#[derive(Clone, Copy)]
pub struct Outcome {
    call: &'static Call,
    value: usize,
}

/// The kernel's errors are -1 to -4095.
pub(super) const ERRORS: usize = -4095isize as usize;

impl Outcome {
    /// The value; or the failure, about a path: its parts, joined and quoted.
    #[inline(always)]
    pub fn at(self, parts: &[&[u8]]) -> Result<usize> {
        if self.value < ERRORS { Ok(self.value) } else { Err(about_path(self.value, self.call, parts)) }
    }

    /// The value; or the failure, about `path`, which starts at `below` if it is not absolute.
    #[inline(always)]
    pub fn on(self, below: Option<&Dir>, path: &CStr) -> Result<usize> {
        if self.value < ERRORS { Ok(self.value) } else { Err(about_path_below(self.value, self.call, below, path)) }
    }

    /// The value; or the failure, about something without a path.
    #[inline(never)]
    pub fn of(self, what: &[u8]) -> Result<usize> {
        if self.value < ERRORS { Ok(self.value) } else { Err(about(self.value, self.call, what)) }
    }

    /// The value; `None` where a call that may not wait would have to (EAGAIN); or the failure. That happens all the time,
    /// and a failure takes memory.
    pub fn now(self) -> Result<Option<usize>> {
        match self.value {
            AGAIN => Ok(None),
            _ => self.of(b"").map(Some),
        }
    }

    /// The value, if the call has worked.
    #[inline(always)]
    pub fn ok(self) -> Option<usize> {
        if self.value < ERRORS { Some(self.value) } else { None }
    }
}

#[cold]
#[inline(never)]
fn about_path(value: usize, call: &'static Call, parts: &[&[u8]]) -> Error {
    Error::call(call.name(), errno(value), &Text::quoted(parts))
}

#[cold]
#[inline(never)]
fn about_path_below(value: usize, call: &'static Call, below: Option<&Dir>, path: &CStr) -> Error {
    match below {
        Some(dir) => about_path(value, call, &dir.naming(path)),
        None => about_path(value, call, &[path.to_bytes()]),
    }
}

#[cold]
#[inline(never)]
fn about(value: usize, call: &'static Call, what: &[u8]) -> Error {
    Error::call(call.name(), errno(value), &Text::plain(what))
}

pub(super) fn errno(value: usize) -> Errno {
    Errno::new((value as i32).wrapping_neg())
}

/// Enters the kernel. An interrupted call is made again, here and nowhere else.
///
/// # Safety
/// The arguments must be what the call's man page asks for, and what they point to must live as long as the call.
#[inline(never)]
unsafe fn enter(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, call: &'static Call) -> usize {
    if trace::is_on() {
        // SAFETY: the caller answers for the arguments
        return unsafe { trace::enter(&[a, b, c, d, e, f], call) };
    }
    loop {
        // SAFETY: the caller answers for the arguments
        match unsafe { enter_once(&[a, b, c, d, e, f], call) } {
            INTERRUPTED => {}
            value => return value,
        }
    }
}

/// -EINTR.
pub(super) const INTERRUPTED: usize = -(libc::EINTR as isize) as usize;

/// -EAGAIN.
const AGAIN: usize = -(libc::EAGAIN as isize) as usize;

/// The call itself.
///
/// # Safety
/// As above.
#[inline(always)]
pub(super) unsafe fn enter_once([a, b, c, d, e, f]: &[usize; 6], call: &'static Call) -> usize {
    // SAFETY: the caller answers for the arguments
    match unsafe { syscalls::syscall6(call.number, *a, *b, *c, *d, *e, *f) } {
        Err(errno) => -(errno.into_raw() as isize) as usize,
        Ok(value) => value,
    }
}

/// The same for most calls, which have three arguments at most: registers that a call does not have are not looked at.
///
/// # Safety
/// As above.
#[inline(never)]
unsafe fn enter_with_few(a: usize, b: usize, c: usize, call: &'static Call) -> usize {
    // SAFETY: the caller answers for the arguments
    unsafe { enter(a, b, c, 0, 0, 0, call) }
}

/// The arguments of one call, together.
pub trait Arguments {
    /// Makes the call.
    ///
    /// # Safety
    /// As above.
    unsafe fn enter<N: Named>(self) -> Outcome;
}

macro_rules! arguments {
    ($($type:ident $arg:ident),*: $enter:ident($($register:expr),*)) => {
        impl<$($type: Arg),*> Arguments for ($($type,)*) {
            #[inline(always)]
            unsafe fn enter<N: Named>(self) -> Outcome {
                let call = const { &Call { number: N::NUMBER, kinds: kinds(&[$($type::KIND),*]), name: N::NAME } };
                let ($($arg,)*) = self;
                $(let $arg = $arg.reg();)*
                // SAFETY: the caller answers for the arguments
                Outcome { call, value: unsafe { $enter($($register),*, call) } }
            }
        }
    };
}
arguments!(: enter_with_few(0, 0, 0));
arguments!(A a: enter_with_few(a, 0, 0));
arguments!(A a, B b: enter_with_few(a, b, 0));
arguments!(A a, B b, C c: enter_with_few(a, b, c));
arguments!(A a, B b, C c, D d: enter(a, b, c, d, 0, 0));
arguments!(A a, B b, C c, D d, E e: enter(a, b, c, d, e, 0));
arguments!(A a, B b, C c, D d, E e, F f: enter(a, b, c, d, e, f));

/// `sys!(mkdirat(dir, name, mode))`: the call by its name in the kernel's table.
macro_rules! sys {
    ($name:ident($($arg:expr),* $(,)?)) => {{
        struct This;
        impl $crate::sys::gate::Named for This {
            const NUMBER: syscalls::Sysno = syscalls::Sysno::$name;
            const NAME: u16 = $crate::sys::gate::place(stringify!($name));
        }
        $crate::sys::gate::Arguments::enter::<This>(($($arg,)*))
    }};
}
pub(super) use sys;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_call() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sys")).unwrap();
        let sources: String = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        let sources: String = sources.split_whitespace().collect();
        for name in NAMES.split_terminator(' ') {
            assert!(sources.contains(&format!("sys!({name}(")), "{name}");
            assert_eq!(Call { kinds: 0, number: Sysno::read, name: place(name) }.name(), name);
        }
    }
}
