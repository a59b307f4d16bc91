//! Mounts in the root: `-v`, `--tmpfs`, `--device`.

use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::root::create::create_missing;
use crate::root::enter::restrict;
use crate::root::own;
use crate::spec::{Content, Volume};
use crate::step::{Child, ChildStep, Slot};
use crate::sys::{self, Fd, MountAttr, MountFlags, OpenFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Words of `--tmpfs` that are flags of the mount, not options of tmpfs: the bits that each sets, and those that it clears.
const FLAGS: [(&str, u64, u64); 8] = [
    ("ro", libc::MS_RDONLY, 0),
    ("rw", 0, libc::MS_RDONLY),
    ("nosuid", libc::MS_NOSUID, 0),
    ("suid", 0, libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV, 0),
    ("dev", 0, libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC, 0),
    ("exec", 0, libc::MS_NOEXEC),
];

/// Options of tmpfs(5), which have a value.
const OPTIONS: [&[u8]; 6] = [b"size", b"mode", b"uid", b"gid", b"nr_inodes", b"nr_blocks"];

/// Reads `SRC:DST`, `SRC:DST:ro` or `SRC:DST:rw`.
pub fn parse(word: &str) -> Result<Volume> {
    let mut parts = bytes::split(word.as_bytes(), b':');
    let (source, target, mode, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target)) = (source.filter(|source| !source.is_empty()), target) else {
        return Err(Error::usage("a volume is SRC:DST or SRC:DST:ro", word.as_bytes()));
    };
    let read_only = match (mode, rest) {
        (None | Some(b"rw"), None) => false,
        (Some(b"ro"), None) => true,
        _ => {
            return Err(Error::usage("a volume is SRC:DST or SRC:DST:ro, with no other colon", word.as_bytes()));
        }
    };
    let target = target_path(target)?;
    Ok(Volume { target, content: Content::Host { source: bytes::c_string(&[source]), read_only, devices: false } })
}

/// Reads `DST` or `DST:size=64m,mode=1777,exec`. The default is nosuid, nodev and noexec, as docker has it.
pub fn parse_tmpfs(word: &str) -> Result<Volume> {
    let (target, options) = bytes::split_once(word.as_bytes(), b':').unwrap_or((word.as_bytes(), b""));
    let mut flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mut data = Vec::new();
    for option in bytes::split(options, b',').filter(|option| !option.is_empty()) {
        if let Some((_, set, clear)) = FLAGS.iter().find(|(name, ..)| name.as_bytes() == option) {
            flags = flags & !clear | set;
            continue;
        }
        match bytes::split_once(option, b'=') {
            Some((name, _)) if OPTIONS.contains(&name) => {
                data.put(option);
                data.put(b",");
            }
            _ => return Err(Error::usage("--tmpfs does not know the option", option)),
        }
    }
    data.pop();
    Ok(Volume {
        target: target_path(target)?,
        content: Content::Memory { flags: MountFlags::from_bits(flags), data: bytes::c_string(&[&data]) },
    })
}

/// Reads the path of a device.
pub fn parse_device(word: &str) -> Result<&'static CStr> {
    target_path(word.as_bytes())
}

fn target_path(word: &[u8]) -> Result<&'static CStr> {
    if !word.starts_with(b"/") {
        return Err(Error::usage("not an absolute path in the container", word));
    }
    let path = bytes::clean_path(word);
    if path == b"/" {
        Err(Error::usage("nothing can be mounted on the root", word))
    } else if bytes::below(&path, b"/proc").is_some() {
        Err(Error::usage("nothing can be mounted on /proc", word))
    } else {
        Ok(bytes::c_string(&[&path]))
    }
}

/// A device of the host, at its own path. The mount is read-only, so that no process inside can change its mode on the host;
/// that does not limit writes to the device itself.
pub fn device(path: &'static CStr) -> Result<Volume> {
    if !matches!(sys::statx(path, true)?.kind(), libc::S_IFCHR | libc::S_IFBLK) {
        return Err(Error::refused("no device:", &[path.to_bytes()], "--device takes one of the host's"));
    }
    Ok(Volume { content: Content::Host { source: path, read_only: true, devices: true }, target: path })
}

step! {
    /// Opens a volume while the host can still be seen.
    pub struct OpenVolume {
        /// Its path on the host.
        pub source: &'static CStr,
        /// Where its mounts are left.
        pub tree: &'static Slot<Fd>,
    }
}

impl ChildStep for OpenVolume {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        self.tree.set(Some(sys::open_tree(self.source)?));
        Ok(())
    }
}

step! {
    /// Mounts a volume in the root.
    pub struct MountVolume {
        /// The volume.
        pub volume: &'static Volume,
        /// What [`OpenVolume`] has left.
        pub tree: &'static Slot<Fd>,
        /// In a root of its own a target that is missing is created.
        pub create: bool,
        /// In a root of its own no device node in it can be opened, unless it is a device that was asked for.
        pub forbid_devices: bool,
        /// Of one that is read-only, as [`crate::root::enter::propagation_of`] says.
        pub propagation: MountFlags,
    }
}

impl ChildStep for MountVolume {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let path = self.volume.target;
        let tree = self.tree.take();
        // The new mount takes the place of one of the container's own.
        if let Some(own) = child.own.at(path).and_then(Option::take) {
            let mounted = self.mount(child, tree, &own)?;
            if let Some(slot) = child.own.at(path) {
                *slot = mounted;
            }
            return Ok(());
        }
        let name = own::enter(child, path)?;
        let target = match sys::openat2(name, OpenFlags::PATH).map_err(|e| e.about(path.to_bytes())) {
            Err(e) if e.is(Errno::ENOENT) && self.create => {
                let is_directory = match &tree {
                    Some(tree) => {
                        let status = sys::statx_fd(tree.borrow()).map_err(|e| e.about(path.to_bytes()))?;
                        status.kind() == libc::S_IFDIR
                    }
                    None => true,
                };
                create_missing(path, is_directory, child)?;
                sys::openat2(name, OpenFlags::PATH).map_err(|e| e.about(path.to_bytes()))?
            }
            Err(e) if e.is(Errno::ENOENT) => {
                return Err(e.with_hint("on the host's own files no mount point is created"));
            }
            other => other?,
        };
        if sys::is_on_proc(target.borrow())? {
            let hint = "it leads to /proc, where nothing can be mounted";
            return Err(Error::refused("no place for a mount:", &[path.to_bytes()], hint));
        }
        self.mount(child, tree, &target).map(drop)
    }
}

impl MountVolume {
    /// Mounts it onto `target`. Returns the root of its mount, if that is open.
    fn mount(&self, child: &mut Child, tree: Option<Fd>, target: &Fd) -> Result<Option<Fd>> {
        let path = self.volume.target;
        match (&self.volume.content, &tree) {
            (Content::Memory { flags, data }, _) => {
                let name = own::name_of(child, target)?;
                sys::mount(c"tmpfs", name.as_c_str().unwrap_or_default(), c"tmpfs", *flags, Some(data))
                    .map_err(|e| e.about(path.to_bytes()))?;
            }
            (Content::Host { read_only, devices, .. }, Some(tree)) => {
                sys::move_mount(tree, target, path)
                    .map_err(|e| e.with_hint("a directory can be mounted only onto a directory, a file onto a file"))?;
                let read_only = if *read_only { MountAttr::RDONLY } else { MountAttr::NONE };
                let no_devices = if !devices && self.forbid_devices { MountAttr::NODEV } else { MountAttr::NONE };
                let attributes = read_only | no_devices;
                if attributes != MountAttr::NONE {
                    restrict(child, tree, path, attributes, self.propagation)?;
                }
            }
            (Content::Host { .. }, None) => {}
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(target: &str, source: &str, read_only: bool) -> Volume {
        let content = Content::Host { source: bytes::c_string(&[source.as_bytes()]), read_only, devices: false };
        Volume { target: bytes::c_string(&[target.as_bytes()]), content }
    }

    #[test]
    fn volumes() {
        for (word, expected) in [
            ("/a:/b", Some(bind("/b", "/a", false))),
            ("/a:/b:ro", Some(bind("/b", "/a", true))),
            ("/a:/b:rw", Some(bind("/b", "/a", false))),
            ("rel:/b//c/", Some(bind("/b/c", "rel", false))),
            ("/a,b\\ \n:/x,y\\", Some(bind("/x,y\\", "/a,b\\ \n", false))),
            ("/a:/../../etc", Some(bind("/etc", "/a", false))),
            ("/a:/procs", Some(bind("/procs", "/a", false))),
            ("/a", None),
            (":/b", None),
            ("/a:", None),
            ("/a:b", None),
            ("/a:/", None),
            ("/a:/x/..", None),
            ("/a:/proc", None),
            ("/a:/x/../proc/sys", None),
            ("/a:/b:z", None),
            ("/a:/b:ro:x", None),
            ("/a:/b:", None),
        ] {
            assert_eq!(parse(word).map_err(drop).ok(), expected, "{word:?}");
        }
    }

    #[test]
    fn memory() {
        let usual = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        for (word, expected) in [
            ("/t", Some((usual, ""))),
            ("/t:", Some((usual, ""))),
            ("/t:size=1m,mode=700", Some((usual, "size=1m,mode=700"))),
            ("/t:exec,size=1m", Some((usual & !libc::MS_NOEXEC, "size=1m"))),
            ("/t:ro,dev,suid,exec", Some((libc::MS_RDONLY, ""))),
            ("/t:size", None),
            ("/t:what=1", None),
            ("t", None),
            ("/", None),
            ("/proc/x", None),
        ] {
            let found = parse_tmpfs(word).map_err(drop).ok().map(|volume| volume.content);
            let expected = expected.map(|(flags, data)| Content::Memory {
                flags: MountFlags::from_bits(flags),
                data: bytes::c_string(&[data.as_bytes()]),
            });
            assert_eq!(found, expected, "{word:?}");
        }
    }
}
