//! A copy of this program that nobody can write to, for what joins a container.
//!
//! The container chooses what an `exec` executes: a script whose interpreter is `/proc/self/exe` is mydocker once more, and others in
//! there can open that file, and keep it open: CVE-2019-5736. In a root of its own it is to reach no file of the host.

use crate::error::Result;
use crate::sys::{self, OpenFlags, Pointers};
use core::ffi::CStr;

/// Executes a sealed copy of this program in its place, with the same words and the same environment; unless it is one already.
pub fn become_copy(words: &[&'static CStr], environment: &[&'static CStr]) -> Result<()> {
    let program = sys::open(c"/proc/self/exe", OpenFlags::NONE)?;
    if sys::is_sealed(&program) {
        // After execve(2) of /proc/self/fd/N the process is called N.
        return sys::set_name(c"mydocker");
    }
    let copy = sys::sealed_copy(&program)?;
    let path = sys::name_in_proc(copy.borrow());
    match sys::execve(path.as_c_str().unwrap_or_default(), &pointers(words), &pointers(environment)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn pointers(strings: &[&'static CStr]) -> Pointers {
    let mut pointers = Pointers::with_capacity(strings.len());
    for string in strings {
        pointers.push(string);
    }
    pointers
}
