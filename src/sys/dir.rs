//! What is in a directory: getdents64(2).

use super::fd::{self, FdRef};
use super::flags::Whence;
use super::fs::Dir;
use super::gate::About::In;
use super::gate::{Null, call};
use super::record;
use crate::bytes;
use crate::error::{Errno, Result};
use ::alloc::boxed::Box;
use ::alloc::vec::Vec;
use core::ffi::CStr;

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
    let n = unsafe { call!(getdents64(dir.fd(), buffer.as_mut_slice(), NAMES)) }.about(In(dir.path, c"."))?;
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

/// Whether a stream is a directory, or a descriptor of O_PATH. getdents64(2) without room for an entry changes nothing: ENOTDIR
/// is its answer for anything else that is open.
pub fn is_directory_or_path(stream: FdRef) -> Result<bool> {
    // SAFETY: the kernel writes nothing where the buffer has no room
    let looked = unsafe { call!(getdents64(stream, Null, 0usize)) };
    if looked.is(Errno::ENOTDIR) {
        return Ok(false);
    }
    match looked.result() {
        Err(e) if !e.is_one_of(&[Errno::EBADF, Errno::EINVAL]) => Err(e),
        _ => Ok(true),
    }
}
