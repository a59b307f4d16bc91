//! Where this host has its cgroups: which hierarchy carries which controller, and where this process is in it.

use crate::bytes::{self, Put};
use crate::error::{Errno, Result};
use crate::host::Host;
use crate::mountinfo::{self, Mount};
use crate::sys::{self, Dir};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A controller that mydocker sets limits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Memory, and swap.
    Memory,
    /// CPU time: shares and quota.
    Cpu,
    /// CPUs and memory nodes.
    Cpuset,
    /// Processes and threads.
    Pids,
    /// v1: what `pause` needs; v2 has it in every group.
    Freezer,
}

impl Controller {
    /// All of them, in the order in which groups are created.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::Cpuset, Self::Pids, Self::Freezer];

    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
        }
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controllers(u8);

impl Controllers {
    /// None of them.
    pub const NONE: Self = Controllers(0);

    /// Those that are `wanted`.
    pub fn that_are(wanted: &dyn Fn(Controller) -> bool) -> Controllers {
        let mut set = 0;
        for &controller in &Controller::ALL {
            if wanted(controller) {
                set |= 1 << controller as u8;
            }
        }
        Controllers(set)
    }

    /// Those in a list of the kernel's names, which commas divide in /proc/PID/cgroup, and blanks in the files of v2.
    pub fn in_list(list: &[u8], divider: u8) -> Controllers {
        let list = list.trim_ascii();
        Controllers::that_are(&|controller| bytes::has_part(list, divider, controller.name().as_bytes()))
    }

    /// Whether `controller` is one of them.
    pub fn has(self, controller: Controller) -> bool {
        self.0 & 1 << controller as u8 != 0
    }

    /// Those of them that are not in `other`.
    pub fn without(self, other: Controllers) -> Controllers {
        Controllers(self.0 & !other.0)
    }
}

/// Those that are in both.
impl core::ops::BitAnd for Controllers {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Controllers(self.0 & other.0)
    }
}

/// The two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller, or for a few.
    V1,
    /// The unified hierarchy.
    V2,
}

impl Version {
    /// The kernel's name of its filesystem.
    pub fn fstype(self) -> &'static CStr {
        match self {
            Self::V1 => c"cgroup",
            Self::V2 => c"cgroup2",
        }
    }

    /// Whether `mount` shows a hierarchy of it: on v1 the one that carries this controller.
    pub fn is_of(self, mount: &Mount, controller: &[u8]) -> bool {
        mount.fstype == self.fstype().to_bytes()
            && (self == Self::V2 || bytes::has_part(mount.super_options, b',', controller))
    }
}

/// A hierarchy that carries at least one of our controllers. It stays open until the process ends.
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Its mount point, or the descriptor of a mount that is attached nowhere.
    pub top: Dir,
    /// The caller's cgroup, relative to `top`: "." or "./a/b".
    pub callers: &'static CStr,
    /// Which of the controllers it carries.
    pub controllers: Controllers,
    /// v1: the list of all its controllers, by which mount(2) knows it; empty on v2.
    pub list: &'static CStr,
    /// v1: the names of its files lack that of their controller, `cpuset.`: the option `noprefix` of cpusets.
    pub noprefix: bool,
}

impl Hierarchy {
    /// Whether it is that of v1 with the freezer.
    pub fn has_freezer(&self) -> bool {
        self.version == Version::V1 && self.controllers.has(Controller::Freezer)
    }
}

/// Which hierarchies are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of the limits.
    Limits,
    /// And the freezer of v1, where it is mounted.
    Freezer,
    /// And all others that are mounted.
    All,
}

/// Looks for the hierarchies of all controllers: where they are mounted, or else in a mount of our own that is attached
/// nowhere. A controller that this host lacks is not an error; one that cannot be reached is, if it is among the `explicit`.
pub fn find(explicit: Controllers, wanted: Wanted, host: &Host) -> Result<Vec<&'static Hierarchy>> {
    let mut own = sys::read_file(c"/proc/self/cgroup")?;
    if own.is_empty() {
        // The kernel does not show the cgroup of v2 before that has been mounted for the first time.
        drop(detached(Version::V2, b"")?);
        own = sys::read_file(c"/proc/self/cgroup")?;
    }
    let lines = own_lines(&own);
    let mounts = host.mounts.as_ref().map_err(|e| *e)?;
    let mut found: Vec<&'static Hierarchy> = Vec::new();
    for &controller in &Controller::ALL {
        let is_left_out = controller == Controller::Freezer && wanted == Wanted::Limits;
        if !is_left_out && !found.iter().any(|hierarchy| hierarchy.controllers.has(controller)) {
            let has_v2 = found.iter().any(|hierarchy| hierarchy.version == Version::V2);
            match hierarchy_of(controller, has_v2, &lines, mounts) {
                Ok(Some(hierarchy)) => found.push(hierarchy),
                Err(e) if explicit.has(controller) => return Err(e),
                Ok(None) | Err(_) => {}
            }
        }
    }
    if wanted == Wanted::All {
        find_others(&lines, mounts, &mut found)?;
    }
    Ok(found)
}

/// The freezer of v1, if it is mounted.
pub fn freezer(host: &Host) -> Result<Option<&'static Hierarchy>> {
    let own = sys::read_file(c"/proc/self/cgroup")?;
    let mounts = host.mounts.as_ref().map_err(|e| *e)?;
    hierarchy_of(Controller::Freezer, false, &own_lines(&own), mounts)
}

/// The hierarchy of a controller that none found so far carries.
fn hierarchy_of(
    controller: Controller,
    has_v2: bool,
    own: &[OwnLine],
    mounts: &[Mount],
) -> Result<Option<&'static Hierarchy>> {
    // A controller that a v1 hierarchy has taken is on a line of its own; the rest is on v2's.
    let name = controller.name().as_bytes();
    let is_freezer = controller == Controller::Freezer;
    // That of v2 is empty, as if it named one without a name.
    let line_of = |controller| own.iter().find(|line| bytes::has_part(line.controllers, b',', controller));
    let line = match line_of(name) {
        None if has_v2 || is_freezer => None,
        None => line_of(b""),
        line => line,
    };
    let Some(line) = line else { return Ok(None) };
    let found = open(line, name, mounts, !is_freezer)?;
    Ok(found.filter(|hierarchy| hierarchy.controllers.has(controller)).map(|found| &*Box::leak(found)))
}

/// Adds the hierarchies of the lines that have none among the found ones, and are mounted.
fn find_others(own: &[OwnLine], mounts: &[Mount], found: &mut Vec<&'static Hierarchy>) -> Result<()> {
    for line in own {
        let first = bytes::split(line.controllers, b',').next().unwrap_or_default();
        if !found.iter().any(|hierarchy| hierarchy.list.to_bytes() == line.controllers)
            && let Some(other) = open(line, first, mounts, false)?
        {
            found.push(Box::leak(other));
        }
    }
    Ok(())
}

/// Opens the hierarchy of a line of /proc/self/cgroup, which carries `controller`: where it is mounted, or else, if it `may_mount`, in
/// a mount of our own.
fn open(line: &OwnLine, controller: &[u8], mounts: &[Mount], may_mount: bool) -> Result<Option<Box<Hierarchy>>> {
    let version = if line.controllers.is_empty() { Version::V2 } else { Version::V1 };
    let (top, below, noprefix) = match mounted(mounts, version, controller, line.path) {
        Some((mount, below)) => {
            let noprefix = bytes::has_part(mount.super_options, b',', b"noprefix");
            // The kernel lists the mount points without links.
            (Dir::open_without_links(mountinfo::unescape(mount.point))?, below, noprefix)
        }
        None if leads_up(line.path) || !may_mount => return Ok(None),
        None => (detached(version, line.controllers)?, line.path, false),
    };
    let mut buffer = [0u8; 512];
    let controllers = match version {
        Version::V1 => Controllers::in_list(line.controllers, b','),
        Version::V2 => Controllers::in_list(top.read(c"cgroup.controllers", &mut buffer)?, b' '),
    };
    let (callers, list) = (below_top(&[below]), bytes::c_string(&[line.controllers]));
    Ok(Some(Box::new(Hierarchy { version, top, callers, controllers, list, noprefix })))
}

/// A line of /proc/self/cgroup: `4:cpu,cpuacct:/a/b`, or `0::/a/b` for v2.
pub struct OwnLine<'a> {
    /// The controllers, with commas between them; none on v2.
    pub controllers: &'a [u8],
    /// The path of the process's cgroup.
    pub path: &'a [u8],
}

/// The lines of /proc/self/cgroup; malformed ones are skipped.
pub fn own_lines<'a>(file: &'a [u8]) -> Vec<OwnLine<'a>> {
    let parse = |line: &'a [u8]| {
        let mut fields = bytes::split(line, b':');
        let (id, controllers) = (fields.next()?, fields.next()?);
        // The path is the rest, and may have colons in it.
        Some(OwnLine { controllers, path: line.get(id.len() + controllers.len() + 2..)? })
    };
    bytes::split(file, b'\n').filter_map(parse).collect()
}

/// Where a hierarchy is mounted: the first writable mount that shows the process's own `path`, or else the first read-only one.
/// Returns the mount, and the rest of the path below it.
pub fn mounted<'a>(
    mounts: &[Mount<'a>],
    version: Version,
    controller: &[u8],
    path: &'a [u8],
) -> Option<(Mount<'a>, &'a [u8])> {
    let mut found = None;
    // No mount shows a path that is outside the cgroup namespace (`/..`).
    let mounts_that_show = if leads_up(path) { &[] } else { mounts };
    for mount in mounts_that_show {
        if !version.is_of(mount, controller) || mountinfo::is_hidden(mount, mounts) {
            continue;
        }
        // A mount whose own root is outside the namespace does not contain the path: `below` finds nothing.
        let root = mountinfo::unescape(mount.root).to_bytes();
        if let Some(below) = bytes::below(path, root) {
            let is_writable = !bytes::has_part(mount.options, b',', b"ro");
            if is_writable || found.is_none() {
                found = Some((*mount, below));
            }
            if is_writable {
                break;
            }
        }
    }
    found
}

/// Whether the path leaves the cgroup namespace.
pub fn leads_up(path: &[u8]) -> bool {
    bytes::has_part(path, b'/', b"..")
}

/// The `parts`, one below the other, as a path for openat(2) that is relative to the top: "." or "./a/b".
pub fn below_top(parts: &[&[u8]]) -> &'static CStr {
    let mut below = alloc::vec![b'.'];
    for path in parts {
        for part in bytes::split(path, b'/') {
            if !part.is_empty() && part != b"." {
                below.put(b"/");
                below.put(part);
            }
        }
    }
    bytes::c_string(&[&below])
}

/// A mount of our own, attached nowhere. The kernel identifies a v1 hierarchy by the list of all its `controllers`.
fn detached(version: Version, controllers: &[u8]) -> Result<Dir> {
    sys::detached_mount(version.fstype(), controllers).map_err(|e| {
        e.with_hint(match e.is(Errno::EPERM) {
            true => "no cgroup is mounted, and mounting one needs root",
            false => "no cgroup is mounted",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths() {
        let file = b"4:cpu,cpuacct:/a:b\n3:cpuset:/\n1:name=systemd:/x\n0::/user/1\n";
        let lines = own_lines(file);
        let found: Vec<_> = lines.iter().map(|line| (line.controllers, line.path)).collect();
        assert_eq!(
            found,
            [(&b"cpu,cpuacct"[..], &b"/a:b"[..]), (b"cpuset", b"/"), (b"name=systemd", b"/x"), (b"", b"/user/1")]
        );
        assert!(own_lines(b"4:cpu\nx\n").is_empty());
    }

    #[test]
    fn roots() {
        for (path, root, below) in [
            ("/a/b", "/", Some("/a/b")),
            ("/", "/", Some("/")),
            ("/a/b", "/a", Some("/b")),
            ("/a", "/a", Some("")),
            ("/ab", "/a", None),
            ("/b", "/a", None),
            ("/a", "/..", None),
            ("/../x", "/", None),
        ] {
            let line = format!("36 35 0:30 {root} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu");
            let mounts = mountinfo::parse(line.as_bytes());
            let found = mounted(&mounts, Version::V1, b"cpu", path.as_bytes()).map(|(_, below)| below);
            assert_eq!(found, below.map(str::as_bytes), "{path} {root}");
        }
        assert_eq!(below_top(&[b"/"]), c".");
        assert_eq!(below_top(&[b""]), c".");
        assert_eq!(below_top(&[b"/a//b/"]), c"./a/b");
        assert_eq!(below_top(&[b"./a", b"b/./c"]), c"./a/b/c");
    }

    #[test]
    fn lists_of_controllers() {
        use Controller::{Cpuset, Memory, Pids};
        let listed = |list: &str, divider| {
            let set = Controllers::in_list(list.as_bytes(), divider);
            Controller::ALL.into_iter().filter(|controller| set.has(*controller)).collect::<Vec<_>>()
        };
        assert_eq!(listed("rw,memory,pids", b','), [Memory, Pids]);
        assert_eq!(listed("pids memory io\n", b' '), [Memory, Pids]);
        assert_eq!(listed("cpuset", b','), [Cpuset]);
        assert_eq!(listed("cpuacct,name=memory\n", b','), []);
    }
}
