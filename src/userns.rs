//! A user namespace, for a caller who is not root: which ids it has, and how they are written. Sources:
//! user_namespaces(7), subuid(5), newuidmap(1).

use crate::bytes::{self, Put};
use crate::error::{Cause, Errno, Error, Kind, Result};
use crate::host::Host;
use crate::step::{Child, ChildStep, Parent, ParentStep};
use crate::sys::{self, AtFlags, Dir, FdRef, OpenFlags, Pid, Pointers, SigSet, Wait, magic};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Ids that a user has been given beside their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first of them, on the host.
    pub start: u64,
    /// How many there are.
    pub count: u64,
}

/// Which ids there are inside: 0 is the caller's own and, where the caller has been given a range, its ids are 1 and on. With
/// `keep`, the caller's own stays what it is, and those of the range are below and above it.
pub struct Maps {
    /// The caller's own ids are the same inside.
    pub keep: bool,
    /// The caller's user id.
    pub uid: u32,
    /// The caller's group id.
    pub gid: u32,
    /// The ranges of user ids and of group ids.
    pub ranges: Option<(Range, Range)>,
}

impl Maps {
    /// Whether a user id of this host is one inside.
    pub fn has_user(&self, uid: u32) -> bool {
        let is_in = |range: &Range| (range.start..range.start.saturating_add(range.count)).contains(&uid.into());
        uid == self.uid || self.ranges.as_ref().is_some_and(|(users, _)| is_in(users))
    }

    /// Those of the caller. Ranges need newuidmap and newgidmap, which are set-user-ID and so do not work under no_new_privs.
    pub fn find(host: &Host, keep: bool) -> &'static Maps {
        let (uid, gid) = host.ids;
        let has_tools = [NEWUIDMAP, NEWGIDMAP].iter().all(|file| sys::is_executable(file));
        let ranges = if has_tools && !sys::no_new_privs() { ranges(uid) } else { None };
        Box::leak(Box::new(Maps { keep, uid, gid, ranges }))
    }

    /// Whether the user namespace has the group `gid`.
    fn has_group(&self, gid: u64) -> bool {
        let count = self.ranges.map_or(0, |(_, gids)| gids.count);
        gid == self.inside(self.gid) || gid < count || gid == count && count > self.inside(self.gid)
    }

    /// What the caller's own id is inside.
    fn inside(&self, id: u32) -> u64 {
        if self.keep { id.into() } else { 0 }
    }

    /// Writes the maps of `child`, which waits for them. `Ok(false)`: one of the `ending` signals came first.
    fn write(&self, child: Pid, ending: SigSet) -> Result<bool> {
        if let Some((uids, gids)) = self.ranges {
            let map = |program, id, range| map(program, child, [self.inside(id), id.into()], range, ending);
            return Ok(map(NEWUIDMAP, self.uid, uids)? && map(NEWGIDMAP, self.gid, gids)?);
        }
        let pid = bytes::to_decimal(child.0 as u64);
        let proc = Dir::open(None, bytes::c_string(&[b"/proc/", &pid]))?;
        if sys::filesystem(proc.fd())? != magic::PROC {
            return Err(Error::refused("not the kernel's:", proc.path, "is /proc mounted?"));
        }
        proc.write(c"uid_map", only(self.inside(self.uid), self.uid))?;
        // Without this the kernel refuses the map of groups: by leaving a group, a process could get access to a file whose
        // mode denies that group (user_namespaces(7)).
        proc.write(c"setgroups", b"deny")?;
        proc.write(c"gid_map", only(self.inside(self.gid), self.gid)).map(|_| true)
    }
}

/// The group tty, by convention.
const TTY: u64 = 5;

/// What the container can do with ids.
#[derive(Clone, Copy, Default)]
pub struct Ids {
    /// It is in a user namespace that is not the host's own: in a new one, or in one that mydocker is in already.
    pub in_userns: bool,
    /// The group tty is mapped.
    pub has_tty_group: bool,
    /// A process may leave its groups: the kernel forbids it where only the maker's own id is mapped.
    pub may_leave_groups: bool,
}

impl Ids {
    /// In a new user namespace with these `maps`.
    pub fn mapped(maps: &Maps) -> Ids {
        Ids { in_userns: true, has_tty_group: maps.has_group(TTY), may_leave_groups: maps.ranges.is_some() }
    }

    /// In the user namespace that mydocker is in.
    pub fn of_caller() -> Ids {
        // USER_NS_INIT_INO of linux/nsfs.h: the number of the host's own, and of no other.
        const INITIAL: u64 = 0xEFFF_FFFD;
        let in_userns =
            sys::statx(FdRef::CWD, c"/proc/self/ns/user", AtFlags::NONE).is_ok_and(|status| status.inode != INITIAL);
        if !in_userns {
            return Ids { in_userns, has_tty_group: true, may_leave_groups: true };
        }
        // The first id inside, the first one outside, and how many there are: user_namespaces(7).
        let has_tty = |line: &[u8]| {
            let mut numbers = bytes::words(line).map(|word| bytes::decimal(word).unwrap_or(0));
            let (first, count) = (numbers.next().unwrap_or(0), numbers.nth(1).unwrap_or(0));
            (first..first.saturating_add(count)).contains(&TTY)
        };
        let map = sys::read_file(c"/proc/self/gid_map").unwrap_or_default();
        let setgroups = sys::read_file(c"/proc/self/setgroups").unwrap_or_default();
        Ids {
            in_userns,
            has_tty_group: bytes::split(&map, b'\n').any(has_tty),
            may_leave_groups: setgroups.trim_ascii() != b"deny",
        }
    }
}

step! {
    /// Writes which ids its user namespace has.
    pub struct MapIds {
        /// The ids.
        pub maps: &'static Maps,
    }
}

impl ParentStep for MapIds {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        if let Some(pid) = parent.pid
            && !self.maps.write(pid, parent.ending)?
        {
            parent.hold();
        }
        // The first byte that the child waits for.
        match &parent.pipes.command_write {
            Some(pipe) => sys::write_all(pipe.borrow(), b"\0"),
            None => Ok(()),
        }
    }
}

step! {
    /// Waits until its ids are there: before that it can do nothing.
    pub struct AwaitIds;
}

impl ChildStep for AwaitIds {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let Some(pipe) = &child.pipes.command_read else { return Ok(()) };
        let mut byte = [0];
        match sys::read(pipe.borrow(), &mut byte).map_err(|e| e.about_text(b"command pipe"))? {
            // The parent has ended.
            0 => sys::exit_group(125),
            _ => Ok(()),
        }
    }
}

/// The map of one id.
fn only(inside: u64, id: u32) -> &'static [u8] {
    bytes::c_string(&[&bytes::to_decimal(inside), b" ", &bytes::to_decimal(id.into()), b" 1"]).to_bytes()
}

const NEWUIDMAP: &CStr = c"/usr/bin/newuidmap";
const NEWGIDMAP: &CStr = c"/usr/bin/newgidmap";

/// The ranges of the user `uid`: those given to the name, or to the number.
fn ranges(uid: u32) -> Option<(Range, Range)> {
    let users = sys::read_file(c"/etc/passwd").unwrap_or_default();
    let name = name(&users, uid);
    let range = |file| range(&sys::read_file(file).unwrap_or_default(), name, uid);
    Some((range(c"/etc/subuid")?, range(c"/etc/subgid")?))
}

/// The name of `uid` in a file of passwd(5).
fn name(users: &[u8], uid: u32) -> Option<&[u8]> {
    bytes::split(users, b'\n').find_map(|line| {
        let mut fields = bytes::split(line, b':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (bytes::decimal(number).ok()? == u64::from(uid)).then_some(name)
    })
}

/// The first range of a user in a file of subuid(5).
fn range(file: &[u8], name: Option<&[u8]>, uid: u32) -> Option<Range> {
    bytes::split(file, b'\n').find_map(|line| {
        let mut fields = bytes::split(line, b':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (start, count) = (bytes::decimal(start).ok()?, bytes::decimal(count.trim_ascii()).ok()?);
        let is_theirs = Some(owner) == name || bytes::decimal(owner) == Ok(uid.into());
        (is_theirs && count > 0).then_some(Range { start, count })
    })
}

/// `newuidmap PID 0 ID 1 1 START COUNT`, or with the id that is kept between two parts of the range.
///
/// The program runs as root, and checks for itself that the range is the caller's. It may ask a directory service,
/// and so take long. `Ok(false)`: one of the `ending` signals came first.
fn map(program: &'static CStr, child: Pid, [inside, id]: [u64; 2], range: Range, ending: SigSet) -> Result<bool> {
    let mut words = Vec::new();
    let mut argv = Pointers::with_capacity(11);
    argv.push(program);
    let below = range.count.min(inside);
    let mut numbers = alloc::vec![child.0 as u64];
    for part in [[0, range.start, below], [inside, id, 1], [inside + 1, range.start + below, range.count - below]] {
        if !part.ends_with(&[0]) {
            numbers.extend(part);
        }
    }
    for number in &numbers {
        let number = bytes::c_string(&[&bytes::to_decimal(*number)]);
        words.put(b" ");
        words.put(number.to_bytes());
        argv.push(number);
    }
    match run(program, &argv, ending)? {
        Some(Wait::Exited(0)) => Ok(true),
        None => Ok(false),
        _ => {
            let hint = "it refused: is the range in /etc/subuid and /etc/subgid, is the file set-user-ID, and is this not run under strace \
                 (unshare -r strace works)?";
            Err(Error::refused("user namespace:", &[program.to_bytes(), &words].concat(), hint))
        }
    }
}

/// Runs a program and waits for it. Its own messages are discarded; the caller reports the failure.
fn run(program: &'static CStr, argv: &Pointers, ending: SigSet) -> Result<Option<Wait>> {
    sys::spawn(ending, || {
        let null = Dir::open(None, c"/dev").and_then(|dev| dev.openat(c"null", OpenFlags::RDWR));
        let ready = null
            .and_then(|null| sys::dup3(null.borrow(), FdRef::STDERR))
            .and_then(|()| sys::set_signal_mask(SigSet::EMPTY));
        if ready.is_ok() {
            sys::execve(program, argv, &Pointers::with_capacity(0));
        }
    })
}

/// Adds the hint that names what forbids user namespaces on this host, a sysctl or a policy, if that may be the cause.
pub fn explain(error: Error) -> Error {
    let Cause { kind: Kind::Call, what: call, hint: "", .. } = error.cause() else { return error };
    if !["clone", "clone3", "mount", "openat", "write"].contains(call)
        || !error.is_one_of(&[Errno::EPERM, Errno::EACCES, Errno::ENOSPC, Errno::EUSERS])
    {
        return error;
    }
    match forbidden() {
        Some(hint) => error.with_hint(hint),
        None if error.is(Errno::EPERM) && call.starts_with("clone") => {
            error.with_hint("user namespaces are forbidden here: by a filter around mydocker, or because of its chroot")
        }
        None => error,
    }
}

/// The hint for what forbids user namespaces on this host.
pub fn forbidden() -> Option<&'static str> {
    USERNS_SWITCHES.iter().find_map(|(file, value, hint)| {
        let mut buffer = [0u8; 16];
        sys::read_up_to(None, file, &mut buffer).is_ok_and(|is| is.trim_ascii() == *value).then_some(*hint)
    })
}

/// The switches that forbid user namespaces: the file, its value then, and the hint.
const USERNS_SWITCHES: &[(&CStr, &[u8], &str)] = &[
    (
        c"/proc/sys/kernel/unprivileged_userns_clone",
        b"0",
        "only root may make user namespaces here: the sysctl kernel.unprivileged_userns_clone is 0",
    ),
    (
        c"/proc/sys/user/max_user_namespaces",
        b"0",
        "there can be no user namespaces here: the sysctl user.max_user_namespaces is 0",
    ),
    (
        c"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        b"1",
        "AppArmor keeps user namespaces from programs without a profile: kernel.apparmor_restrict_unprivileged_userns is 1",
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
    fn groups_of_the_namespace() {
        let range = Range { start: 100000, count: 4 };
        let maps = |ranges| Maps { keep: false, uid: 1, gid: 1, ranges };
        let kept = |gid, ranges| Maps { keep: true, uid: 1, gid, ranges };
        assert!(kept(7, None).has_group(7) && !kept(7, None).has_group(0));
        for (gid, groups) in [(2, "01234"), (4, "01234"), (6, "01236")] {
            let has = |group: &u64| kept(gid, Some((range, range))).has_group(*group);
            assert_eq!((0..9).filter(has).map(|group| group.to_string()).collect::<String>(), groups);
        }
        assert!(maps(None).has_group(0) && !maps(None).has_group(1));
        assert!(maps(Some((range, range))).has_group(4) && !maps(Some((range, range))).has_group(5));
    }
}
