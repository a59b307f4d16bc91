//! The one place that enters the kernel (clone, which returns twice, has its own way in: `clone.rs`).

use super::flags::{CloseRangeFlags, MountFlags, OpenFlags, SigSet};
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

/// A call that did not work: its name and what the kernel said. The wrapper adds what it was about.
pub struct Failure {
    pub call: &'static str,
    pub errno: Errno,
}

/// Enters the kernel. An interrupted call is made again, here and nowhere else; registers that a call does not have
/// are not looked at.
///
/// # Safety
/// The arguments must be what the call's man page asks for, and what they point to must live as long as the call.
pub unsafe fn enter(number: Sysno, call: &'static str, r: [usize; 6]) -> Result<usize, Failure> {
    loop {
        // SAFETY: the caller answers for the arguments
        match unsafe { syscalls::syscall6(number, r[0], r[1], r[2], r[3], r[4], r[5]) } {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure { call, errno }),
            Ok(value) => return Ok(value),
        }
    }
}

/// `sys!(mkdirat(dir, name, mode))`: the call by its name in the kernel's table.
macro_rules! sys {
    ($name:ident($($arg:expr),* $(,)?)) => {{
        let mut registers = [0usize; 6];
        let given = [$($crate::sys::gate::Arg::reg(&$arg)),*];
        registers[..given.len()].copy_from_slice(&given);
        $crate::sys::gate::enter(syscalls::Sysno::$name, stringify!($name), registers)
    }};
}
pub(super) use sys;
