//! `-u`: who the command is, looked up in the container's own passwd and group. All of this runs in the child: it
//! allocates nothing.

use crate::error::{Errno, Error, Result};
use crate::passwd;
use crate::says;
use crate::sys::{self, OpenFlags};
use crate::text::Put;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

const PASSWD: &CStr = c"/etc/passwd";
const GROUP: &CStr = c"/etc/group";
/// More groups than this, or a longer line, and the run ends rather than leaving one out.
const MOST_GROUPS: usize = 1024;
const LONGEST_LINE: usize = 16 * 1024;

/// Who the command will be.
pub struct User {
    /// The user id.
    pub uid: u32,
    gid: u32,
    groups: Vec<u32>,
    /// `HOME=...`, with a NUL after it.
    home: Vec<u8>,
}

impl User {
    /// Room for what will be found; root until then.
    pub fn new() -> Box<User> {
        let mut home = Vec::with_capacity(libc::PATH_MAX as usize);
        home.put(b"HOME=/\0");
        Box::new(User { uid: 0, gid: 0, groups: Vec::with_capacity(MOST_GROUPS), home })
    }

    /// The variable HOME, with a NUL after it.
    pub fn into_home(self) -> &'static [u8] {
        self.home.leak()
    }

    /// Looks up `word`, which is as [`passwd::wanted`] has it. A number need not be in the files; with a group of its own
    /// a user has no others.
    #[inline(never)]
    pub fn look_up(&mut self, word: &[u8]) -> Result<()> {
        let Some(wanted) = passwd::wanted(word) else { return Ok(()) };
        let number = passwd::id(wanted.user);
        let mut found = false;
        let mut name = [0u8; 256];
        let mut name_len = 0;
        each_line(PASSWD, &mut |line| {
            let Some(user) = passwd::user(line) else { return };
            if found || user.name != wanted.user && number != Some(user.uid) {
                return;
            }
            found = true;
            (self.uid, self.gid) = (user.uid, user.gid);
            if !user.home.is_empty() && user.home.len() + 6 < self.home.capacity() {
                self.home.truncate(5);
                self.home.put(user.home);
                self.home.put(b"\0");
            }
            if let Some(room) = name.get_mut(..user.name.len()) {
                room.copy_from_slice(user.name);
                name_len = room.len();
            }
        })?;
        match number {
            Some(uid) if !found => self.uid = uid,
            None if !found => {
                return Err(Error::refused(
                    says!("unknown user"),
                    &[wanted.user],
                    says!("it is not in the /etc/passwd inside"),
                ));
            }
            _ => {}
        }
        let name = name.get(..name_len).unwrap_or_default();
        let wanted_gid = wanted.group.and_then(passwd::id);
        let mut group_found = false;
        let mut too_many = false;
        if wanted.group.is_some() || !name.is_empty() {
            each_line(GROUP, &mut |line| {
                let Some(group) = passwd::group(line) else { return };
                match wanted.group {
                    Some(wanted) if group.name == wanted => (self.gid, group_found) = (group.gid, true),
                    Some(_) => {}
                    None if !group.has(name) => {}
                    None if self.groups.len() == self.groups.capacity() => too_many = true,
                    None => self.groups.push(group.gid),
                }
            })?;
        }
        match (wanted.group, wanted_gid) {
            (Some(_), Some(gid)) if !group_found => self.gid = gid,
            (Some(group), None) if !group_found => {
                return Err(Error::refused(
                    says!("unknown group"),
                    &[group],
                    says!("it is not in the /etc/group inside"),
                ));
            }
            _ => {}
        }
        match too_many {
            true => Err(Error::refused(says!("too many groups for"), &[name], says!("1024 at most"))),
            false => Ok(()),
        }
    }

    /// Becomes it, for good: credentials(7). Without CAP_SETGID the groups cannot go, so they go first; where they may not
    /// be left at all, they stay.
    pub fn become_it(&self, leaves_groups: bool) -> Result<()> {
        if leaves_groups {
            sys::setgroups(&self.groups)?;
        }
        sys::setgid(self.gid)?;
        sys::setuid(self.uid)
    }
}

/// Shows `see` every line of a file in the container; there is none in a file that is not there.
fn each_line(path: &CStr, see: &mut dyn FnMut(&[u8])) -> Result<()> {
    // Not blocking: it may be a FIFO.
    let file = match sys::openat2(path, OpenFlags::NONBLOCK | OpenFlags::NOCTTY) {
        Err(e) if e.is(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    let mut buffer = [0u8; LONGEST_LINE];
    let mut filled = 0;
    loop {
        let n = sys::read(&file, buffer.get_mut(filled..).unwrap_or_default()).map_err(|e| e.about(path.to_bytes()))?;
        filled += n;
        let mut rest = buffer.get(..filled).unwrap_or_default();
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            see(rest.get(..end).unwrap_or_default());
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        let left = rest.len();
        if n == 0 {
            see(rest);
            return Ok(());
        }
        if left == LONGEST_LINE {
            return Err(Error::refused(
                says!("a line is too long in"),
                &[path.to_bytes()],
                says!("16384 bytes at most"),
            ));
        }
        buffer.copy_within(filled - left..filled, 0);
        filled = left;
    }
}
