//! Creates missing directories and files in a root, and removes them again if the command is not executed.

use crate::error::{Errno, Error, Result};
use crate::step::{Child, Parent};
use crate::sys::{self, Fd, OpenFlags};
use core::ffi::CStr;

const IN_READ_ONLY: &str =
    "it is missing, and this is read-only: mkdir it in the folder that is mounted here, or leave out --read-only";
const FILE_IN_READ_ONLY: &str =
    "it is missing, and this is read-only: touch it in the folder that is mounted here, or leave out --read-only";
const NOT_CREATED: &str = "it is missing in the root, and cannot be created";

/// The mode of a directory that is created.
pub const DIRECTORY: u32 = libc::S_IFDIR | 0o755;
/// The mode of an empty file that is created.
pub const FILE: u32 = libc::S_IFREG | 0o644;

/// How many links that lead to nothing may lead to each other.
const MOST_LINKS: u32 = 5;

/// Creates `path` in the root, a directory or an empty file as `mode` says, with the missing directories above it. openat2
/// follows no link out of the root, and no magic link of /proc. Where a link leads to nothing, what it leads to is created. Each
/// new file is reported through the undo socket, if there is one, so that the parent can remove it.
pub fn create_missing(path: &CStr, mode: u32, child: &Child) -> Result<()> {
    create_below_links(path.to_bytes(), mode, child, MOST_LINKS)
}

fn create_below_links(path: &[u8], mode: u32, child: &Child, links: u32) -> Result<()> {
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    let mut above: Option<Fd> = None;
    let mut name_at = 1;
    for end in 1..=path.len() {
        if !matches!(path.get(end), Some(b'/') | None) {
            continue;
        }
        let last = end == path.len();
        let too_long = || Error::call("openat2", Errno::ENAMETOOLONG, path, &[]);
        let whole = c_string_in(&mut buffer, &[path.get(..end).unwrap_or_default()]).ok_or_else(too_long)?;
        let opened = match sys::openat2(whole, OpenFlags::PATH) {
            Err(e) if e.is(Errno::ENOENT) => {
                let dir = match above.take() {
                    Some(dir) => dir,
                    None => sys::openat2(c"/", OpenFlags::PATH)?,
                };
                let Ok(name) = CStr::from_bytes_with_nul(whole.to_bytes_with_nul().get(name_at..).unwrap_or_default())
                else {
                    return Err(too_long());
                };
                let mode = if last { mode } else { DIRECTORY };
                let made = match mode & libc::S_IFMT {
                    libc::S_IFDIR => sys::mkdir(Some(&dir), name, mode & 0o7777),
                    // Not every FUSE filesystem has mknod(2) for files.
                    _ => sys::create_empty(&dir, name, mode & 0o7777),
                };
                match made {
                    Err(e) if e.is(Errno::EEXIST) && links > 0 => {
                        let mut room = [0u8; libc::PATH_MAX as usize];
                        // What is there and leads nowhere is a link. Else another process was faster, or the kernel is wrong.
                        let Ok(to) = sys::readlink(Some(&dir), name, &mut room) else { return Err(e) };
                        let parent = path.get(..name_at).unwrap_or_default();
                        let mut target = [0u8; libc::PATH_MAX as usize];
                        let Some(target) =
                            c_string_in(&mut target, &[if to.starts_with(b"/") { b"" } else { parent }, to])
                        else {
                            return Err(e);
                        };
                        create_below_links(target.to_bytes(), mode, child, links - 1)?;
                    }
                    made => {
                        made.map_err(|e| {
                            let hint = match mode & libc::S_IFMT {
                                _ if !e.is(Errno::EROFS) => NOT_CREATED,
                                libc::S_IFDIR => IN_READ_ONLY,
                                _ => FILE_IN_READ_ONLY,
                            };
                            e.about(whole.to_bytes()).with_hint(hint)
                        })?;
                        report(child, &dir, name)?;
                    }
                }
                sys::openat2(whole, OpenFlags::PATH)?
            }
            other => other?,
        };
        above = Some(opened);
        name_at = end + 1;
    }
    Ok(())
}

/// The parts as one string in `buffer`, if there is room.
fn c_string_in<'a>(buffer: &'a mut [u8], parts: &[&[u8]]) -> Option<&'a CStr> {
    let mut end = 0;
    for part in parts {
        buffer.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    *buffer.get_mut(end)? = 0;
    CStr::from_bytes_with_nul(buffer.get(..=end)?).ok()
}

/// Reports to the parent that `name` has been created in `dir`; removes it if the report fails.
fn report(child: &Child, dir: &Fd, name: &CStr) -> Result<()> {
    let Some(undo) = &child.pipes.undo_send else { return Ok(()) };
    sys::send_fd(undo.borrow(), dir.borrow(), name.to_bytes_with_nul()).map_err(|e| match sys::unlink(dir, name) {
        // The first failure is the one to report.
        Ok(()) | Err(_) => e,
    })
}

/// In the parent, when the command was not executed and all processes that were to become it have ended: removes what they have
/// reported. A mount of a container is not in the way of others (unlink(2)), and the parent still has the rights that the child
/// had.
pub fn undo(parent: &mut Parent) {
    while parent.pipes.undo_receive.is_some() {
        parent.take_report();
    }
    for (dir, name) in parent.created.iter().rev() {
        match sys::unlink(dir, name) {
            // A directory that is not empty: another process has created something in it meanwhile. It stays.
            Ok(()) | Err(_) => {}
        }
    }
}
