//! `-u`: the user to run as, looked up in the container's own passwd and group. All of this runs in the child.

use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::passwd;
use crate::step::{Child, ChildStep, User, missing};
use crate::sys::{self, Fd, FdRef, OpenFlags, magic, record};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

const PASSWD: &CStr = c"/etc/passwd";
const GROUP: &CStr = c"/etc/group";
/// With more groups than this the run ends: it must not leave one out.
const MOST_GROUPS: usize = 1024;
/// In bytes: room for about 100,000 users.
const LARGEST: u64 = 16 << 20;

impl User {
    /// Root, with room for the groups and the home of the user that will be found.
    pub fn with_room() -> User {
        let mut home = Vec::with_capacity(libc::PATH_MAX as usize);
        home.put(b"HOME=/\0");
        User { uid: 0, gid: 0, groups: Vec::with_capacity(MOST_GROUPS), home }
    }
}

step! {
    /// Looks up the user in the files of the container.
    pub struct LookUpUser {
        /// `USER` or `USER:GROUP`.
        pub word: &'static str,
        /// Groups beside those of the user: names or numbers.
        pub groups: &'static [&'static str],
        /// Where its root is on the host, for a dry run; `None` if it is in an image.
        pub root: Option<&'static CStr>,
    }
}

impl ChildStep for LookUpUser {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        if !child.is_rehearsal {
            look_up(&mut child.user, self.word.as_bytes(), &sys::openat2)?;
            return add_groups(&mut child.user, self.groups, &sys::openat2);
        }
        // Only the files tell which ids a name has. A dry run reads the files at their path on the host, and notes the calls as the
        // run would make them.
        let root = self.root.map(|root| record::make(|| sys::open(root, OpenFlags::PATH | OpenFlags::DIRECTORY)));
        let root = root.transpose()?;
        let times = Cell::new(0);
        let open = |path: &CStr, flags| {
            times.set(times.get() + u32::from(path == GROUP));
            match &root {
                Some(root) => sys::open_in_root(root, path, flags),
                None => Err(Error::refused("cannot tell who is", self.word.as_bytes(), "its files are in the image")),
            }
        };
        let looked_up = record::make(|| {
            look_up(&mut child.user, self.word.as_bytes(), &open)?;
            add_groups(&mut child.user, self.groups, &open)
        });
        record::make(|| drop(root));
        each_line(PASSWD, &sys::openat2, &mut |_| {})?;
        for _ in 0..times.get() {
            each_line(GROUP, &sys::openat2, &mut |_| {})?;
        }
        looked_up
    }
}

step! {
    /// Leaves the groups of whoever started mydocker.
    pub struct LeaveGroups;
}

impl ChildStep for LeaveGroups {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::setgroups(&[])
    }
}

/// How a file of the container is opened.
type Open<'a> = &'a dyn Fn(&CStr, OpenFlags) -> Result<Fd>;

step! {
    /// Becomes the user.
    pub struct BecomeUser {
        /// Whether the user namespace lets a process leave its groups.
        pub may_leave_groups: bool,
    }
}

impl ChildStep for BecomeUser {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let user = &child.user;
        // /dev/stdout is opened like a file, and a pipe is one that only its maker may open. Nobody else finds it by a path.
        for stream in &FdRef::STREAMS {
            if child.terminal.is_none() && sys::is_pipe(*stream)? {
                match sys::fchmod(*stream, 0o666) {
                    // Who has made it is not in this user namespace.
                    Err(e) if e.is(Errno::EPERM) => {}
                    other => other?,
                }
            }
        }
        // The terminal belongs to the user, as after a login.
        if let Some(terminal) = &child.terminal {
            sys::fchown(terminal.borrow(), user.uid)?;
        }
        // For good, as credentials(7) has it. Without CAP_SETGID the groups cannot be changed, so they come first.
        if self.may_leave_groups {
            sys::setgroups(&user.groups)?;
        }
        sys::setgid(user.gid)?;
        sys::setuid(user.uid)
    }
}

const NOT_IN_PASSWD: &str = "it is not in the /etc/passwd inside: name a number";
const NOT_IN_GROUP: &str = "it is not in the /etc/group inside: name a number";

/// Looks up `word`, which is as [`passwd::user_and_group`] reads it. A number need not be in the files. Where a group is
/// given, there are no supplementary groups.
fn look_up(found_user: &mut User, word: &[u8], open: Open) -> Result<()> {
    let wanted = passwd::user_and_group(word).ok_or_else(|| missing("words of -u"))?;
    let number = passwd::id(wanted.user);
    let mut found = false;
    let mut name = [0u8; 256];
    let mut name_len = 0;
    each_line(PASSWD, open, &mut |line| {
        let Some(user) = passwd::user(line) else { return };
        if found || user.name != wanted.user && number != Some(user.uid) {
            return;
        }
        found = true;
        (found_user.uid, found_user.gid) = (user.uid, user.gid);
        if !user.home.is_empty() && user.home.len() + 6 < found_user.home.capacity() {
            found_user.home.truncate(5);
            found_user.home.put(user.home);
            found_user.home.put(b"\0");
        }
        if let Some(room) = name.get_mut(..user.name.len()) {
            room.copy_from_slice(user.name);
            name_len = room.len();
        }
    })?;
    match number {
        Some(uid) if !found => found_user.uid = uid,
        None if !found => {
            return Err(Error::refused("unknown user", wanted.user, NOT_IN_PASSWD));
        }
        _ => {}
    }
    let name = name.get(..name_len).unwrap_or_default();
    let wanted_gid = wanted.group.and_then(passwd::id);
    let mut group_found = false;
    let mut too_many = false;
    if wanted.group.is_some() || !name.is_empty() {
        each_line(GROUP, open, &mut |line| {
            let Some(group) = passwd::group(line) else { return };
            match wanted.group {
                Some(wanted) if group.name == wanted => (found_user.gid, group_found) = (group.gid, true),
                Some(_) => {}
                None if !group.has_member(name) => {}
                None if found_user.groups.len() == found_user.groups.capacity() => too_many = true,
                None => found_user.groups.push(group.gid),
            }
        })?;
    }
    match (wanted.group, wanted_gid) {
        (Some(_), Some(gid)) if !group_found => found_user.gid = gid,
        (Some(group), None) if !group_found => {
            return Err(Error::refused("unknown group", group, NOT_IN_GROUP));
        }
        _ => {}
    }
    match too_many {
        true => Err(Error::refused("too many groups for", name, "1024 at most")),
        false => Ok(()),
    }
}

/// Adds groups by their name or number.
fn add_groups(user: &mut User, words: &[&str], open: Open) -> Result<()> {
    for word in words {
        let word = word.as_bytes();
        let mut found = passwd::id(word);
        if found.is_none() {
            each_line(GROUP, open, &mut |line| {
                if let Some(group) = passwd::group(line).filter(|group| group.name == word) {
                    found = Some(group.gid);
                }
            })?;
        }
        match found {
            None => return Err(Error::refused("unknown group", word, NOT_IN_GROUP)),
            Some(gid) if user.groups.contains(&gid) => {}
            Some(_) if user.groups.len() == user.groups.capacity() => {
                return Err(Error::refused("too many groups for", word, "1024 at most"));
            }
            Some(gid) => user.groups.push(gid),
        }
    }
    Ok(())
}

/// Calls `see` with every line of a file in the container. A missing file has none; nor has what is no regular file, or is larger
/// than any list of users: the root may hold a node of /dev/zero there.
fn each_line(path: &CStr, open: Open, see: &mut dyn FnMut(&[u8])) -> Result<()> {
    // Not blocking: it may be a FIFO.
    let file = match open(path, OpenFlags::NONBLOCK | OpenFlags::NOCTTY) {
        // A file where /etc should be is ENOTDIR, a link that leads nowhere ELOOP, a socket ENXIO, and a device node EACCES.
        Err(e) if e.is_one_of(&[Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::ENXIO, Errno::EACCES]) => {
            return Ok(());
        }
        other => other?,
    };
    let status = sys::statx_fd(file.borrow()).map_err(|e| e.about(path.to_bytes()))?;
    // A link into /proc leads to a file of the kernel.
    if status.kind() != libc::S_IFREG || status.size > LARGEST || sys::filesystem(file.borrow())? == magic::PROC {
        return Ok(());
    }
    let (mut content, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    // It may grow meanwhile.
    while content.len() <= LARGEST as usize {
        match sys::read(file.borrow(), &mut buffer).map_err(|e| e.about(path.to_bytes()))? {
            0 => break,
            n => content.put(buffer.get(..n).unwrap_or_default()),
        }
    }
    bytes::split(&content, b'\n').for_each(see);
    Ok(())
}
