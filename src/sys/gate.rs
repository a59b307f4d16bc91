//! The one place that enters the kernel (clone, which returns twice, has its own way in: `clone.rs`).

use super::files::Dir;
use super::flags::{CloseRangeFlags, MountFlags, OpenFlags, SigSet};
use crate::error::{Error, Result};
use crate::text::Text;
use core::ffi::CStr;
use syscalls::{Errno, Sysno};

/// An argument of a system call: a type that knows its register value. A shared reference stays valid for the call
/// because it is borrowed for it.
pub trait Arg {
    /// The value that goes into the register.
    fn reg(&self) -> usize;
}

macro_rules! arg_by_cast {
    ($($type:ty),*) => { $(impl Arg for $type {
        fn reg(&self) -> usize {
            *self as usize
        }
    })* };
}
arg_by_cast!(usize, u64, u32, i32, u16);

macro_rules! arg_by_bits {
    ($($type:ty),*) => { $(impl Arg for $type {
        fn reg(&self) -> usize {
            self.bits() as usize
        }
    })* };
}
arg_by_bits!(OpenFlags, MountFlags, CloseRangeFlags);

impl Arg for &CStr {
    fn reg(&self) -> usize {
        self.as_ptr() as usize
    }
}

impl<T: ?Sized> Arg for *const T {
    fn reg(&self) -> usize {
        self.cast::<u8>() as usize
    }
}

impl<T: ?Sized> Arg for *mut T {
    fn reg(&self) -> usize {
        self.cast::<u8>() as usize
    }
}

impl Arg for &SigSet {
    fn reg(&self) -> usize {
        core::ptr::from_ref(*self) as usize
    }
}

/// A call, by its number and its name. There is one for each place in the source that makes it.
pub struct Call {
    /// What the kernel knows it by.
    pub number: Sysno,
    /// What people know it by.
    pub name: &'static str,
}

/// What `sys!` makes a type of its own for, so that the call and the types of its arguments are constants together.
pub trait Named {
    const NUMBER: Sysno;
    const NAME: &'static str;
}

/// What the kernel has returned. It must be looked at: by `at` or `of`, which add to a failure what the call was about.
#[must_use]
#[derive(Clone, Copy)]
pub struct Outcome {
    call: &'static Call,
    value: usize,
}

/// The kernel's errors are -1 to -4095.
const ERRORS: usize = -4095isize as usize;

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

    /// The value, if the call has worked.
    #[inline(always)]
    pub fn ok(self) -> Option<usize> {
        if self.value < ERRORS { Some(self.value) } else { None }
    }
}

#[cold]
#[inline(never)]
fn about_path(value: usize, call: &'static Call, parts: &[&[u8]]) -> Error {
    Error::call(call.name, errno(value), &Text::quoted(parts))
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
    Error::call(call.name, errno(value), &Text::plain(what))
}

fn errno(value: usize) -> Errno {
    Errno::new((value as i32).wrapping_neg())
}

/// Enters the kernel. An interrupted call is made again, here and nowhere else.
///
/// # Safety
/// The arguments must be what the call's man page asks for, and what they point to must live as long as the call.
#[inline(never)]
unsafe fn enter(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, call: &'static Call) -> usize {
    loop {
        // SAFETY: the caller answers for the arguments
        match unsafe { syscalls::syscall6(call.number, a, b, c, d, e, f) } {
            Err(Errno::EINTR) => {}
            Err(errno) => return -(errno.into_raw() as isize) as usize,
            Ok(value) => return value,
        }
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
                let call = const { &Call { number: N::NUMBER, name: N::NAME } };
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
            const NAME: &'static str = stringify!($name);
        }
        $crate::sys::gate::Arguments::enter::<This>(($($arg,)*))
    }};
}
pub(super) use sys;
