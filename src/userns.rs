//! A user namespace, for a caller who is not root: which ids are there, and who writes that down. Sources:
//! user_namespaces(7), subuid(5), newuidmap(1).

use crate::error::{Cause, Errno, Error, Kind, Result};
use crate::says;
use crate::sys::{self, CloneFlags, Dir, OpenFlags, Pid, Pointers, SigSet, Wait};
use crate::text::{self, Put};
use crate::texts::Message;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Ids that somebody has been given beside his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: u64,
    count: u64,
}

/// Which ids there are inside: 0 is the caller's own and, where he has been given them, 1 and on are those of a range.
pub struct Maps {
    uid: u32,
    gid: u32,
    ranges: Option<(Range, Range)>,
}

impl Maps {
    /// Of this process. Ranges need newuidmap and newgidmap, which are of no use after no_new_privs.
    #[inline(never)]
    pub fn find() -> &'static Maps {
        let (uid, gid) = sys::effective_ids();
        let there = [c"/usr/bin/newuidmap", c"/usr/bin/newgidmap"].iter().all(|file| sys::is_executable(file));
        let ranges = if there && !sys::no_new_privs() { ranges(uid) } else { None };
        Box::leak(Box::new(Maps { uid, gid, ranges }))
    }

    /// Whether `gid` is there.
    pub fn has_group(&self, gid: u64) -> bool {
        gid == 0 || self.ranges.is_some_and(|(_, gids)| gid <= gids.count)
    }

    /// Whether a process may leave its groups: with the caller's own id alone, the kernel forbids it.
    pub fn leaves_groups(&self) -> bool {
        self.ranges.is_some()
    }

    /// Writes the maps of `child`, which waits for it.
    #[inline(never)]
    pub fn write(&self, child: Pid) -> Result<()> {
        if let Some((uids, gids)) = self.ranges {
            map(c"/usr/bin/newuidmap", child, self.uid, uids)?;
            return map(c"/usr/bin/newgidmap", child, self.gid, gids);
        }
        let pid = text::to_decimal(child.0 as u64);
        let proc = Dir::open(None, text::c_string(&[b"/proc/", &pid]))?;
        proc.write(c"uid_map", only(self.uid))?;
        // Or a group that is to keep somebody out of a file could be left (user_namespaces(7)).
        proc.write(c"setgroups", b"deny")?;
        proc.write(c"gid_map", only(self.gid))
    }
}

/// The map of one id.
fn only(id: u32) -> &'static [u8] {
    text::c_string(&[b"0 ", &text::to_decimal(id.into()), b" 1"]).to_bytes()
}

/// The ranges of the user `uid`: those of his name, or of his number.
fn ranges(uid: u32) -> Option<(Range, Range)> {
    let users = sys::read_file(c"/etc/passwd").unwrap_or_default();
    let name = name(&users, uid);
    let range = |file| range(&sys::read_file(file).ok()?, name, uid);
    Some((range(c"/etc/subuid")?, range(c"/etc/subgid")?))
}

/// The name of `uid` in a file of passwd(5).
fn name(users: &[u8], uid: u32) -> Option<&[u8]> {
    text::split(users, b'\n').find_map(|line| {
        let mut fields = text::split(line, b':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (text::decimal(number).ok()? == u64::from(uid)).then_some(name)
    })
}

/// The first range of a user in a file of subuid(5).
fn range(file: &[u8], name: Option<&[u8]>, uid: u32) -> Option<Range> {
    text::split(file, b'\n').find_map(|line| {
        let mut fields = text::split(line, b':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (start, count) = (text::decimal(start).ok()?, text::decimal(text::trimmed(count)).ok()?);
        let his = Some(owner) == name || text::decimal(owner) == Ok(uid.into());
        (his && count > 0).then_some(Range { start, count })
    })
}

/// `newuidmap PID 0 ID 1 1 START COUNT`: it is root's, and looks for itself whether the range is the caller's.
fn map(program: &'static CStr, child: Pid, id: u32, range: Range) -> Result<()> {
    let mut words = Vec::new();
    let mut argv = Pointers::with_capacity(8);
    argv.push(program);
    for number in &[child.0 as u64, 0, id.into(), 1, 1, range.start, range.count] {
        let number = text::c_string(&[&text::to_decimal(*number)]);
        words.put(b" ");
        words.put(number.to_bytes());
        argv.push(number);
    }
    match run(program, &argv)? {
        Some(Wait::Exited(0)) => Ok(()),
        _ => {
            let hint = says!("it refused; is the range in /etc/subuid and /etc/subgid, and the file set-user-ID?");
            Err(Error::refused(says!("user namespace:"), &[program.to_bytes(), &words], hint))
        }
    }
}

/// Runs a program to its end. It has nothing to say that the caller does not say better.
fn run(program: &'static CStr, argv: &Pointers) -> Result<Option<Wait>> {
    if let Some(pid) = sys::fork(CloneFlags::NONE)? {
        return sys::wait4(pid, true);
    }
    let null = Dir::open(None, c"/dev").and_then(|dev| dev.openat(c"null", OpenFlags::RDWR));
    let ready = null.and_then(|null| sys::dup_to(&null, 2)).and_then(|()| sys::set_signal_mask(SigSet::EMPTY));
    if ready.is_ok() {
        sys::execve(program, argv, &Pointers::with_capacity(0));
    }
    sys::exit_group(127)
}

/// What forbids user namespaces on this host, if a failure may come of that: a sysctl or a policy, by name.
pub fn explain(error: Error) -> Error {
    let Cause { kind: Kind::Call, what: call, hint: Message::NONE, .. } = error.cause() else { return error };
    if !["clone", "clone3", "mount", "openat", "write"].contains(call)
        || !error.is_one_of(&[Errno::EPERM, Errno::EACCES, Errno::ENOSPC, Errno::EUSERS])
    {
        return error;
    }
    match forbidden() {
        Some(hint) => error.with_hint(hint),
        None if error.is(Errno::EPERM) && call.starts_with("clone") => error.with_hint(says!(
            "user namespaces are forbidden here: by a filter around mydocker, or because of its chroot"
        )),
        None => error,
    }
}

/// What this host forbids user namespaces with.
pub fn forbidden() -> Option<Message> {
    FORBIDDERS.iter().find_map(|(file, value, hint)| {
        let mut buffer = [0u8; 16];
        sys::read_up_to(None, file, &mut buffer).is_ok_and(|is| text::trimmed(is) == *value).then_some(*hint)
    })
}

/// Who may: the file, what it then holds, and what is said.
const FORBIDDERS: &[(&CStr, &[u8], Message)] = &[
    (
        c"/proc/sys/kernel/unprivileged_userns_clone",
        b"0",
        says!("only root may make user namespaces here: the sysctl kernel.unprivileged_userns_clone is 0"),
    ),
    (
        c"/proc/sys/user/max_user_namespaces",
        b"0",
        says!("there can be no user namespaces here: the sysctl user.max_user_namespaces is 0"),
    ),
    (
        c"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        b"1",
        says!(
            "AppArmor keeps user namespaces from programs without a profile: kernel.apparmor_restrict_unprivileged_userns is 1"
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let users = b"root:x:0:0::/root:/bin/sh\nbad\n#c:\nme:x:1000:100::/:\nalso:x:1000:1::/:\n";
        assert_eq!(name(users, 0), Some(&b"root"[..]));
        assert_eq!(name(users, 1000), Some(&b"me"[..]));
        assert_eq!(name(users, 1), None);
        assert_eq!(name(b"", 0), None);
    }

    #[test]
    fn ranges_of_a_name_or_a_number() {
        let file = b"# c\nother:1:2\nme:100000:65536\nme:5:5\n1001:7:8\nzero:9:0\nbad:x:1\nshort:1\n";
        let found = |name: &str, uid| range(file, Some(name.as_bytes()), uid).map(|range| (range.start, range.count));
        assert_eq!(found("me", 1), Some((100000, 65536)));
        assert_eq!(found("you", 1001), Some((7, 8)));
        for nobody in ["zero", "bad", "short", "m", ""] {
            assert_eq!(found(nobody, 1), None, "{nobody}");
        }
        assert_eq!(range(file, None, 1), None);
    }

    #[test]
    fn which_groups_are_there() {
        let range = Range { start: 100000, count: 4 };
        let maps = |ranges| Maps { uid: 1, gid: 1, ranges };
        assert!(maps(None).has_group(0) && !maps(None).has_group(1));
        assert!(maps(Some((range, range))).has_group(4) && !maps(Some((range, range))).has_group(5));
    }
}
