//! What this host has: which hierarchy carries which controller, and where this process is in it.

use crate::error::{Errno, Error, Result};
use crate::mountinfo::{self, has_option};
use crate::sys::{self, Dir};
use crate::text;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The controllers that mydocker sets limits with.
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
}

impl Controller {
    /// All of them, in the order that groups are made.
    pub const ALL: [Controller; 4] = [Controller::Memory, Controller::Cpu, Controller::Cpuset, Controller::Pids];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Pids => "pids",
        }
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
    pub own: Vec<u8>,
    /// Which of the controllers it carries.
    pub controllers: Vec<Controller>,
}

/// The host's cgroups.
pub struct Host {
    /// Each hierarchy once.
    pub hierarchies: Vec<Hierarchy>,
}

impl Host {
    /// Looks for the hierarchies of all controllers: where they are mounted, or else in a mount of our own that nobody
    /// else sees. A controller that this host does not have is not an error; one that cannot be reached is, if it is
    /// among the `asked`.
    pub fn find(asked: &[Controller]) -> Result<Host> {
        let own = sys::read_file(c"/proc/self/cgroup").map_err(needs_proc)?;
        let mounts = sys::read_file(c"/proc/self/mountinfo").map_err(needs_proc)?;
        let mut host = Host { hierarchies: Vec::new() };
        for controller in Controller::ALL {
            if host.carrying(controller).is_some() {
                continue;
            }
            // A controller that a v1 hierarchy has taken is on a line of its own; the rest is v2's.
            let added = match own_line(&own, Some(controller)) {
                Some(line) => host.add_v1(controller, &line, &mounts),
                None => host.add_v2(controller, &own, &mounts),
            };
            if asked.contains(&controller) {
                added?;
            }
        }
        Ok(host)
    }

    /// The index of the hierarchy that carries `controller`.
    pub fn carrying(&self, controller: Controller) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.controllers.contains(&controller))
    }

    fn add_v1(&mut self, controller: Controller, line: &OwnLine, mounts: &[u8]) -> Result<()> {
        let is_it = |mount: &mountinfo::Mount| {
            mount.fstype == b"cgroup" && has_option(mount.super_options, controller.name().as_bytes())
        };
        let (top, own) = match mounted(mounts, line.path, is_it)? {
            Some(found) => found,
            None if leads_up(line.path) => return Ok(()),
            None => {
                // The whole list of the line: a hierarchy is known by all its controllers.
                let names: Vec<CString> =
                    line.controllers.split(|&b| b == b',').filter_map(|name| CString::new(name).ok()).collect();
                let names: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
                match detached(c"cgroup", &names)? {
                    Some(top) => (top, below_top(line.path)),
                    None => return Ok(()),
                }
            }
        };
        let controllers =
            Controller::ALL.into_iter().filter(|c| has_option(line.controllers, c.name().as_bytes())).collect();
        self.hierarchies.push(Hierarchy { version: Version::V1, top, own, controllers });
        Ok(())
    }

    fn add_v2(&mut self, controller: Controller, own: &[u8], mounts: &[u8]) -> Result<()> {
        let Some(line) = own_line(own, None) else { return Ok(()) };
        if self.hierarchies.iter().any(|h| h.version == Version::V2) {
            return Ok(());
        }
        let (top, own) = match mounted(mounts, line.path, |mount| mount.fstype == b"cgroup2")? {
            Some(found) => found,
            None if leads_up(line.path) => return Ok(()),
            None => match detached(c"cgroup2", &[])? {
                Some(top) => (top, below_top(line.path)),
                None => return Ok(()),
            },
        };
        let mut buffer = [0u8; 512];
        let listed = top.read(c"cgroup.controllers", &mut buffer)?;
        let controllers: Vec<Controller> = Controller::ALL
            .into_iter()
            .filter(|c| text::words(listed).any(|word| word == c.name().as_bytes()))
            .collect();
        if controllers.contains(&controller) {
            self.hierarchies.push(Hierarchy { version: Version::V2, top, own, controllers });
        }
        Ok(())
    }
}

/// Without /proc nothing can be found; its absence is easily mended.
fn needs_proc(error: Error) -> Error {
    if error.is(Errno::ENOENT) { error.with_hint("is /proc mounted?") } else { error }
}

/// A line of /proc/self/cgroup: `4:cpu,cpuacct:/a/b`, or `0::/a/b` for v2.
struct OwnLine<'a> {
    controllers: &'a [u8],
    path: &'a [u8],
}

/// The line that names `controller`, or v2's.
fn own_line(file: &[u8], controller: Option<Controller>) -> Option<OwnLine<'_>> {
    file.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match controller {
            Some(controller) => has_option(controllers, controller.name().as_bytes()),
            None => id == b"0" && controllers.is_empty(),
        };
        found.then_some(OwnLine { controllers, path })
    })
}

/// The first mount, one that can be written to if there is one, that `is_it` and in which the process's own `path` can be seen: its top, and the own cgroup below.
fn mounted(mounts: &[u8], path: &[u8], is_it: impl Fn(&mountinfo::Mount) -> bool) -> Result<Option<(Dir, Vec<u8>)>> {
    for read_only_too in [false, true] {
        let mut rest = mounts;
        while let Some(mount) = mountinfo::next(&mut rest) {
            if is_it(&mount)
                && has_option(mount.options, b"ro") == read_only_too
                && !mountinfo::is_hidden(mount.point, rest)
                && let Some(below) = strip_root(path, &mountinfo::unescape(mount.root))
                && let Ok(point) = CString::new(mountinfo::unescape(mount.point))
            {
                return Ok(Some((Dir::open(None, &point)?, below_top(below))));
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
    path.split(|&b| b == b'/').any(|part| part == b"..")
}

/// A path below the top as openat takes it: "." and what follows.
pub fn below_top(path: &[u8]) -> Vec<u8> {
    let mut below = alloc::vec![b'.'];
    for part in path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        below.push(b'/');
        below.extend_from_slice(part);
    }
    below
}

/// A mount of our own, attached nowhere. `None` where this kernel or its configuration cannot.
fn detached(fstype: &CStr, options: &[&CStr]) -> Result<Option<Dir>> {
    const CANNOT: [Errno; 4] = [Errno::ENOSYS, Errno::ENODEV, Errno::EBUSY, Errno::EINVAL];
    match sys::detached_mount(fstype, options, fstype.to_bytes()) {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if CANNOT.iter().any(|&errno| e.is(errno)) => Ok(None),
        Err(e) if e.is(Errno::EPERM) => Err(e.with_hint("no cgroup is mounted, and mounting one needs root")),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths() {
        let file = b"4:cpu,cpuacct:/a:b\n3:cpuset:/\n1:name=systemd:/x\n0::/user/1\n";
        let path = |c| own_line(file, c).map(|line| line.path.to_vec());
        assert_eq!(path(Some(Controller::Cpu)), Some(b"/a:b".to_vec()));
        assert_eq!(path(Some(Controller::Cpuset)), Some(b"/".to_vec()));
        assert_eq!(path(Some(Controller::Memory)), None);
        assert_eq!(path(None), Some(b"/user/1".to_vec()));
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
        assert_eq!(below_top(b"/"), b".");
        assert_eq!(below_top(b""), b".");
        assert_eq!(below_top(b"/a//b/"), b"./a/b");
    }
}
