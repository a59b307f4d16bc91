//! What this host has: which hierarchy carries which controller, and where this process is in it.

use crate::error::{Errno, Error, Result};
use crate::mountinfo::{self, has_option};
use crate::says;
use crate::sys::{self, Dir};
use crate::text;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Controllers that mydocker sets limits with: a set of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controllers(u8);

impl Controllers {
    /// None of them.
    pub const NONE: Self = Controllers(0);
    /// Memory, and swap.
    pub const MEMORY: Self = Controllers(1);
    /// CPU time: shares and quota.
    pub const CPU: Self = Controllers(2);
    /// CPUs and memory nodes.
    pub const CPUSET: Self = Controllers(4);
    /// Processes and threads.
    pub const PIDS: Self = Controllers(8);

    /// Each alone with the kernel's name, in the order that groups are made.
    pub const NAMED: &'static [(Self, &'static [u8])] =
        &[(Self::MEMORY, b"memory"), (Self::CPU, b"cpu"), (Self::CPUSET, b"cpuset"), (Self::PIDS, b"pids")];

    /// Those that a list of the kernel's names: at commas in mountinfo and /proc/PID/cgroup, at blanks on v2.
    pub fn in_list(list: &[u8]) -> Self {
        let mut found = 0;
        for word in list.split(|b| matches!(b, b',' | b' ' | b'\n')) {
            for (controller, name) in Self::NAMED {
                if word == *name {
                    found |= controller.0;
                }
            }
        }
        Controllers(found)
    }

    /// Whether all of `others` are among them.
    pub fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and `others`.
    pub fn with(self, others: Self) -> Self {
        Controllers(self.0 | others.0)
    }

    /// Those of these that are among `others`.
    pub fn among(self, others: Self) -> Self {
        Controllers(self.0 & others.0)
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

/// One hierarchy that carries at least one of our controllers.
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Its mount point, or the descriptor of a mount that is attached nowhere.
    pub top: Dir,
    /// The caller's own cgroup, below `top`: "." or "./a/b".
    pub own: &'static CStr,
    /// Which of the controllers it carries.
    pub controllers: Controllers,
}

impl Hierarchy {
    /// Whether it has a path: where it is mounted nowhere, mydocker has it by a descriptor alone.
    pub fn is_mounted(&self) -> bool {
        self.top.path().starts_with(b"/")
    }
}

/// The host's cgroups.
#[derive(Default)]
pub struct Host {
    /// Each hierarchy once, open until the process ends.
    pub hierarchies: Vec<&'static Hierarchy>,
}

impl Host {
    /// Looks for the hierarchies of all controllers: where they are mounted, or else in a mount of our own that nobody
    /// else sees. A controller that this host does not have is not an error; one that cannot be reached is, if it is
    /// among the `asked`. `mounts` is mountinfo.
    #[inline(never)]
    pub fn find(&mut self, asked: Controllers, mounts: &Result<Vec<u8>>) -> Result<()> {
        let own = sys::read_file(c"/proc/self/cgroup").map_err(needs_proc)?;
        let mounts = mounts.as_ref().map_err(|e| needs_proc(*e))?;
        for &(controller, _) in Controllers::NAMED {
            if !self.carries(controller) {
                match self.hierarchy_of(controller, &own, mounts) {
                    Ok(Some(hierarchy)) => self.hierarchies.push(hierarchy),
                    Err(e) if asked.has(controller) => return Err(e),
                    Ok(None) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Whether one of the hierarchies carries `controller`.
    pub fn carries(&self, controller: Controllers) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.controllers.has(controller))
    }

    /// The hierarchy of a controller that none found so far carries.
    #[inline(never)]
    fn hierarchy_of(&self, controller: Controllers, own: &[u8], mounts: &[u8]) -> Result<Option<&'static Hierarchy>> {
        // A controller that a v1 hierarchy has taken is on a line of its own; the rest is v2's.
        let mut version = Version::V1;
        let mut line = own_line(own, controller);
        if line.is_none() && !self.hierarchies.iter().any(|h| h.version == Version::V2) {
            version = Version::V2;
            line = own_line(own, Controllers::NONE);
        }
        let Some(line) = line else { return Ok(None) };
        let (top, below) = match mounted(mounts, version, controller, line.path)? {
            Some(found) => found,
            None if leads_up(line.path) => return Ok(None),
            None => (detached(version, line.controllers)?, line.path),
        };
        let mut buffer = [0u8; 512];
        let controllers = Controllers::in_list(match version {
            Version::V1 => line.controllers,
            Version::V2 => top.read(c"cgroup.controllers", &mut buffer)?,
        });
        if !controllers.has(controller) {
            return Ok(None);
        }
        Ok(Some(Box::leak(Box::new(Hierarchy { version, top, own: below_top(&[below]), controllers }))))
    }
}

/// Without /proc nothing can be found; its absence is easily mended.
fn needs_proc(error: Error) -> Error {
    if error.is(Errno::ENOENT) { error.with_hint(says!("is /proc mounted?")) } else { error }
}

/// A line of /proc/self/cgroup: `4:cpu,cpuacct:/a/b`, or `0::/a/b` for v2.
struct OwnLine<'a> {
    controllers: &'a [u8],
    path: &'a [u8],
}

/// The line that names `controller`, or with none v2's, which names none.
fn own_line(file: &[u8], controller: Controllers) -> Option<OwnLine<'_>> {
    text::split(file, b'\n').find_map(|line| {
        let (_id, rest) = text::split_at(line, b':')?;
        let (controllers, path) = text::split_at(rest, b':')?;
        let found = match controller.is_empty() {
            true => controllers.is_empty(),
            false => Controllers::in_list(controllers).has(controller),
        };
        found.then_some(OwnLine { controllers, path })
    })
}

/// Where a hierarchy is mounted: the first place, one that can be written to if there is one, in which the process's own
/// `path` can be seen. Its top, and what is left of the path below.
fn mounted<'a>(
    mounts: &[u8],
    version: Version,
    controller: Controllers,
    path: &'a [u8],
) -> Result<Option<(Dir, &'a [u8])>> {
    for read_only in [false, true] {
        let mut rest = mounts;
        while let Some(mount) = mountinfo::next(&mut rest) {
            let is_it = match version {
                Version::V1 => mount.fstype == b"cgroup" && Controllers::in_list(mount.super_options).has(controller),
                Version::V2 => mount.fstype == b"cgroup2",
            };
            if is_it
                && has_option(mount.options, b"ro") == read_only
                && !mountinfo::is_hidden(mount.point, rest)
                && let Some(below) = strip_root(path, &mountinfo::unescape(mount.root))
            {
                let point = text::c_string(&[&mountinfo::unescape(mount.point)]);
                return Ok(Some((Dir::open(None, point)?, below)));
            }
        }
    }
    Ok(None)
}

/// The own path less the mount's root. A root outside the cgroup namespace (`/..`) shows nothing of use.
fn strip_root<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    if leads_up(root) || leads_up(path) {
        return None;
    }
    let below = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    (below.is_empty() || below.starts_with(b"/")).then_some(below)
}

/// Whether the path leaves the cgroup namespace.
fn leads_up(path: &[u8]) -> bool {
    text::split(path, b'/').any(|part| part == b"..")
}

/// A path, in parts one below the other, as openat takes it below the top: "." and what follows.
pub fn below_top(parts: &[&[u8]]) -> &'static CStr {
    let mut below = alloc::vec![b'.'];
    for part in parts.iter().flat_map(|part| text::split(part, b'/')) {
        if !part.is_empty() && part != b"." {
            below.push(b'/');
            below.extend_from_slice(part);
        }
    }
    text::c_string(&[&below])
}

/// A mount of our own, attached nowhere. A v1 hierarchy is known by all its `controllers`.
fn detached(version: Version, controllers: &[u8]) -> Result<Dir> {
    let fstype = match version {
        Version::V1 => c"cgroup",
        Version::V2 => c"cgroup2",
    };
    sys::detached_mount(fstype, controllers).map_err(|e| match e.is(Errno::EPERM) {
        true => e.with_hint(says!("no cgroup is mounted, and mounting one needs root")),
        false => e.with_hint(says!("no cgroup is mounted")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths() {
        let file = b"4:cpu,cpuacct:/a:b\n3:cpuset:/\n1:name=systemd:/x\n0::/user/1\n";
        let path = |c| own_line(file, c).map(|line| line.path.to_vec());
        assert_eq!(path(Controllers::CPU), Some(b"/a:b".to_vec()));
        assert_eq!(path(Controllers::CPUSET), Some(b"/".to_vec()));
        assert_eq!(path(Controllers::MEMORY), None);
        assert_eq!(path(Controllers::NONE), Some(b"/user/1".to_vec()));
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
            assert_eq!(strip_root(path.as_bytes(), root.as_bytes()), below.map(str::as_bytes), "{path} {root}");
        }
        assert_eq!(below_top(&[b"/"]), c".");
        assert_eq!(below_top(&[b""]), c".");
        assert_eq!(below_top(&[b"/a//b/"]), c"./a/b");
        assert_eq!(below_top(&[b"./a", b"b/./c"]), c"./a/b/c");
    }

    #[test]
    fn lists_of_controllers() {
        let memory_and_pids = Controllers::MEMORY.with(Controllers::PIDS);
        assert_eq!(Controllers::in_list(b"rw,memory,pids"), memory_and_pids);
        assert_eq!(Controllers::in_list(b"pids memory io\n"), memory_and_pids);
        assert_eq!(Controllers::in_list(b"cpuset"), Controllers::CPUSET);
        assert_eq!(Controllers::in_list(b"cpuacct,name=memory\n"), Controllers::NONE);
        assert!(memory_and_pids.has(Controllers::PIDS) && !Controllers::CPU.has(memory_and_pids));
        assert_eq!(memory_and_pids.among(Controllers::PIDS.with(Controllers::CPU)), Controllers::PIDS);
    }
}
