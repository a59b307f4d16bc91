//! Mounts in the root: `-v`, `--tmpfs`, `--device`.

use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::root::create::{DIRECTORY, FILE, create_missing};
use crate::root::enter::restrict;
use crate::root::own;
use crate::spec::{Content, Volume};
use crate::step::{Child, ChildStep, Slot, missing};
use crate::sys::{self, AtFlags, Fd, FdRef, Identity, MountAttr, MountFlags, OpenFlags, magic, record};
use crate::writable;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Words of `--tmpfs` that are flags of the mount, not options of tmpfs: the bits that each sets, and those that it clears.
/// The last two change nothing: the kernel's default, and how a disk is written.
const FLAGS: [(&str, u64, u64); 10] = [
    ("ro", libc::MS_RDONLY, 0),
    ("rw", 0, libc::MS_RDONLY),
    ("nosuid", libc::MS_NOSUID, 0),
    ("suid", 0, libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV, 0),
    ("dev", 0, libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC, 0),
    ("exec", 0, libc::MS_NOEXEC),
    ("relatime", 0, 0),
    ("sync", 0, 0),
];

/// Whether an option of tmpfs(5) has a value that the kernel takes.
fn is_of_tmpfs(name: &[u8], value: &[u8]) -> bool {
    // What the kernel does not know of docker's way to write them.
    let is_size = |value: &[u8]| bytes::size(value).is_ok() && !value.iter().any(|b| b".bB".contains(b));
    let is_below = |value: &[u8], limit: u64| bytes::decimal(value).is_ok_and(|number| number < limit);
    match name {
        b"size" => value.strip_suffix(b"%").map_or(is_size(value), |part| is_below(part, 101)),
        b"nr_inodes" | b"nr_blocks" => is_size(value),
        b"uid" | b"gid" => is_below(value, u64::from(u32::MAX)),
        b"mode" => value.len() <= 5 && !value.is_empty() && value.iter().all(|b| (b'0'..=b'7').contains(b)),
        _ => false,
    }
}

/// Words of docker's for what is so here anyway, or has no meaning here: labels of SELinux, caches of a virtual machine, volumes
/// that are filled, and mounts that do not propagate to the host.
const NO_EFFECT: [&[u8]; 10] =
    [b"z", b"Z", b"cached", b"delegated", b"consistent", b"nocopy", b"private", b"rprivate", b"slave", b"rslave"];

/// Reads `SRC:DST` or `SRC:DST:ro,z`.
pub fn parse(word: &str) -> Result<Volume> {
    const FORM: &str = "a volume is SRC:DST or SRC:DST:OPTS, with options such as ro; without SRC: --tmpfs DST";
    let mut parts = bytes::split(word.as_bytes(), b':');
    let (source, target, options, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target), None) = (source.filter(|source| !source.is_empty()), target, rest) else {
        return Err(Error::usage(FORM, word.as_bytes()));
    };
    let mut read_only = false;
    for option in bytes::split(options.unwrap_or(b"rw"), b',') {
        match option {
            b"ro" => read_only = true,
            b"rw" => read_only = false,
            other if NO_EFFECT.contains(&other) => {}
            _ => {
                return Err(Error::usage(
                    "SRC:DST:OPTS of a volume takes ro, or z, cached and the like",
                    word.as_bytes(),
                ));
            }
        }
    }
    bind(source, target, read_only)
}

fn bind(source: &[u8], target: &[u8], read_only: bool) -> Result<Volume> {
    let content = Content::Host { source: bytes::c_string(&[source]), read_only, devices: false };
    Ok(Volume { target: target_path(target)?, content })
}

/// Reads the zone of `--tz`: the host's file of it is mounted, so that the root need not have one.
pub fn parse_zone(word: &str) -> Result<Volume> {
    let source = match word {
        "local" => c"/etc/localtime",
        zone => bytes::c_string(&[b"/usr/share/zoneinfo/", zone.as_bytes()]),
    };
    let is_above = bytes::split(word.as_bytes(), b'/').any(|part| matches!(part, b"" | b"." | b".."));
    if is_above || sys::is_directory(source) || !sys::exists(source) {
        let what = match word {
            "local" => "--tz: this host has no /etc/localtime, which stands for",
            _ => {
                "--tz: this host has no such time zone; it is local, or a file below /usr/share/zoneinfo (package tzdata)"
            }
        };
        return Err(Error::usage(what, word.as_bytes()));
    }
    bind(source.to_bytes(), b"/etc/localtime", true)
}

/// Reads docker's `type=bind,source=SRC,target=DST,readonly` or `type=tmpfs,target=DST,tmpfs-size=64m,tmpfs-mode=1777`.
pub fn parse_mount(word: &str) -> Result<Volume> {
    let refused = |what| Err(Error::usage(what, word.as_bytes()));
    let (mut kind, mut source, mut target, mut read_only) = (&b""[..], &b""[..], &b""[..], false);
    let mut data = Vec::new();
    for part in bytes::split(word.as_bytes(), b',') {
        match bytes::split_once(part, b'=').unwrap_or((part, b"true")) {
            (b"type", value) => kind = value,
            (b"source" | b"src", value) => source = value,
            (b"target" | b"destination" | b"dst", value) => target = value,
            (b"readonly" | b"ro", value @ (b"true" | b"1" | b"false" | b"0")) => {
                read_only = matches!(value, b"true" | b"1")
            }
            (b"bind-propagation", value) if NO_EFFECT.contains(&value) => {}
            (b"consistency", _) => {}
            (b"tmpfs-size", value) if let Ok(size) = bytes::size(value) => {
                data.put(b",size=");
                data.put_decimal(size);
            }
            (b"tmpfs-mode", value) if is_of_tmpfs(b"mode", value) => {
                data.put(b",mode=");
                data.put(value);
            }
            _ => return Err(Error::usage("--mount does not know this part, or its value", part)),
        }
    }
    let data = data.get(1..).unwrap_or_default();
    match kind {
        _ if target.is_empty() => refused("--mount needs target=DST"),
        b"bind" if source.is_empty() => refused("--mount type=bind needs source=SRC"),
        b"bind" if data.is_empty() => bind(source, target, read_only),
        b"tmpfs" if source.is_empty() => {
            let flags = USUAL | if read_only { libc::MS_RDONLY } else { 0 };
            let content = Content::Memory { flags: MountFlags::from_bits(flags), data: bytes::c_string(&[data]) };
            Ok(Volume { target: target_path(target)?, content })
        }
        b"bind" | b"tmpfs" => refused("--mount with what belongs to the other type"),
        _ => refused("--mount takes type=bind or type=tmpfs; there are no named volumes"),
    }
}

/// nosuid, nodev and noexec, as docker has a tmpfs.
const USUAL: u64 = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// Reads `DST` or `DST:size=64m,mode=1777,exec`. The default is nosuid, nodev and noexec, as docker has it.
pub fn parse_tmpfs(word: &str) -> Result<Volume> {
    let (target, options) = bytes::split_once(word.as_bytes(), b':').unwrap_or((word.as_bytes(), b""));
    let mut flags = USUAL;
    let mut data = Vec::new();
    for option in bytes::split(options, b',').filter(|option| !option.is_empty()) {
        if let Some((_, set, clear)) = FLAGS.iter().find(|(name, ..)| name.as_bytes() == option) {
            flags = flags & !clear | set;
            continue;
        }
        match bytes::split_once(option, b'=') {
            Some((name, value)) if is_of_tmpfs(name, value) => {
                data.put(option);
                data.put(b",");
            }
            _ => return Err(Error::usage("--tmpfs does not know the option, or its value", option)),
        }
    }
    data.pop();
    Ok(Volume {
        target: target_path(target)?,
        content: Content::Memory { flags: MountFlags::from_bits(flags), data: bytes::c_string(&[&data]) },
    })
}

/// Reads `PATH`, `PATH:DST` or `PATH:DST:rwm`: what a device may be used for cannot be limited, so it is all or nothing.
pub fn parse_device(word: &str) -> Result<[&'static CStr; 2]> {
    let mut parts = bytes::split(word.as_bytes(), b':');
    let source = parts.next().unwrap_or_default();
    let is_rights = |part: &[u8]| matches!(part, b"rwm" | b"rw");
    let target = parts.next().unwrap_or(source);
    // PATH:rwm
    let target = if is_rights(target) { source } else { target };
    if parts.next().is_some_and(|rights| !is_rights(rights)) || parts.next().is_some() {
        return Err(Error::usage("--device is PATH, PATH:DST or PATH:DST:rwm", word.as_bytes()));
    }
    Ok([target_path(source)?, target_path(target)?])
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

/// A device of the host, or a directory of its /dev with all that are in it. The mount is read-only, so that no process inside
/// can change its mode on the host; that does not limit writes to the device itself.
pub fn device([path, target]: [&'static CStr; 2]) -> Result<Volume> {
    let found = sys::statx(FdRef::CWD, path, AtFlags::NONE)
        .map_err(|e| e.hint_for(&[(Errno::ENOENT, "this host does not have it: its driver may be a module")]))?;
    let is_device = match found.kind() {
        libc::S_IFDIR => path.to_bytes().starts_with(b"/dev/"),
        kind => matches!(kind, libc::S_IFCHR | libc::S_IFBLK),
    };
    if !is_device {
        let hint = "--device takes one of the host's, or a folder below /dev; --privileged -v /dev:/dev brings all";
        return Err(Error::refused("no device:", path.to_bytes(), hint));
    }
    Ok(Volume { content: Content::Host { source: path, read_only: true, devices: true }, target })
}

step! {
    /// Opens a volume while the host can still be seen.
    pub struct OpenVolume {
        /// Its path on the host.
        pub source: &'static CStr,
        /// Which file it is, if the container can write to what it is in.
        pub known: Option<Identity>,
        /// Where its mounts are left.
        pub tree: &'static Slot<Fd>,
    }
}

impl ChildStep for OpenVolume {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let hint = "it is a path, and no named volume: make it before the run, with mkdir, or touch for a file";
        let tree = sys::open_tree(self.source).map_err(|e| e.hint_for(&[(Errno::ENOENT, hint)]))?;
        writable::check(self.known, &|| sys::statx_fd(tree.borrow()), self.source)?;
        self.tree.set(Some(tree));
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
        /// In a root of its own, or in memory of its own, a target that is missing is created.
        pub create: bool,
        /// In a root of its own no device node in it can be opened, unless it is a device that was asked for.
        pub forbid_devices: bool,
        /// Of one that is confined, as [`crate::root::enter::propagation_of`] says.
        pub propagation: MountFlags,
        /// For a tmpfs, room for its options; the parent has made it.
        pub room: Slot<Vec<u8>>,
        /// Where the root is on the host, for a dry run; `None` if it is in an image.
        pub root_on_host: Option<&'static CStr>,
    }
}

impl ChildStep for MountVolume {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let path = self.volume.target;
        let tree = self.tree.take();
        // The new mount takes the place of one of the container's own.
        if let Some(own) = child.own.at(path).and_then(Option::take) {
            let mounted = self.mount(child, tree, &own, false)?;
            if let Some(slot) = child.own.at(path) {
                *slot = mounted;
            }
            return Ok(());
        }
        let name = own::enter(child, path)?;
        let mut is_new = false;
        let target = match sys::openat2(name, OpenFlags::PATH).map_err(|e| e.about(path.to_bytes())) {
            Err(e) if e.is(Errno::ENOENT) && self.create => {
                let mode = match &tree {
                    Some(tree) => {
                        let status = sys::statx_fd(tree.borrow()).map_err(|e| e.about(path.to_bytes()))?;
                        if status.kind() == libc::S_IFDIR { DIRECTORY } else { FILE }
                    }
                    // What is new has the mode of /tmp, today and when the same root is used again.
                    None => libc::S_IFDIR | AS_TMP,
                };
                create_missing(path, mode, child)?;
                is_new = true;
                sys::openat2(name, OpenFlags::PATH).map_err(|e| e.about(path.to_bytes()))?
            }
            Err(e) if e.is(Errno::ENOENT) => {
                return Err(e.with_hint("on the host's own files no mount point is created; --ephemeral or --rootfs gives a root where it is"));
            }
            other => other?,
        };
        if sys::filesystem(target.borrow())? == magic::PROC {
            let hint = "it leads to /proc, where nothing can be mounted";
            return Err(Error::refused("no place for a mount:", path.to_bytes(), hint));
        }
        self.mount(child, tree, &target, is_new).map(drop)
    }
}

/// The mode of a tmpfs that covers nothing.
const AS_TMP: u32 = 0o1777;

const SAME_KIND: &str = "a directory can be mounted only onto a directory, a file onto a file";

impl MountVolume {
    /// Mounts it onto `target`, which has been made for it if it `is_new`. Returns the root of its mount, if that is open.
    fn mount(&self, child: &mut Child, tree: Option<Fd>, target: &Fd, is_new: bool) -> Result<Option<Fd>> {
        let path = self.volume.target;
        match (&self.volume.content, &tree) {
            (Content::Memory { flags, data }, _) => {
                let mut room = self.room.take().unwrap_or_default();
                let data = match room.is_empty() {
                    true => data,
                    false => {
                        // Of what has been made just now the umask, which may be the caller's, has taken some.
                        let mode = if is_new { AS_TMP } else { self.covered_mode(target, child)? & 0o7777 };
                        room.put_octal(mode.into());
                        room.put(b"\0");
                        CStr::from_bytes_until_nul(&room).unwrap_or_default()
                    }
                };
                let name = own::name_of(child, target)?;
                sys::mount(c"tmpfs", name.as_c_str().unwrap_or_default(), c"tmpfs", *flags, Some(data)).map_err(
                    |e| {
                        let e = e.about(path.to_bytes());
                        match e.is(Errno::EINVAL) {
                            true => e.with_hint("an option is not possible here, such as an id that is not mapped"),
                            false => e.hint_for(&[(Errno::ENOTDIR, SAME_KIND)]),
                        }
                    },
                )?;
            }
            (Content::Host { read_only, devices, .. }, Some(tree)) => {
                sys::move_mount(tree, target, path).map_err(|e| e.with_hint(SAME_KIND))?;
                let read_only = if *read_only { MountAttr::RDONLY } else { MountAttr::NONE };
                let no_devices = if !devices && self.forbid_devices { MountAttr::NODEV } else { MountAttr::NONE };
                let attributes = read_only | no_devices;
                if attributes != MountAttr::NONE {
                    restrict(child, tree, path, attributes, self.propagation)?;
                }
            }
            (Content::Host { .. }, None) => return Err(missing("volume")),
        }
        Ok(tree)
    }
}

impl MountVolume {
    /// The room for the options of a tmpfs that gets the mode of what it covers: up to that mode.
    pub fn room(volume: &Volume) -> Slot<Vec<u8>> {
        let Content::Memory { data, .. } = volume.content else { return Slot::default() };
        let data = data.to_bytes();
        if bytes::split(data, b',').any(|option| option.starts_with(b"mode=")) {
            return Slot::default();
        }
        let mut room = Vec::with_capacity(data.len() + b",mode=07777\0".len());
        room.put(data);
        room.put(if data.is_empty() { b"" } else { b"," });
        room.put(b"mode=");
        Slot::new(Some(room))
    }

    /// The mode of the directory that is mounted on.
    fn covered_mode(&self, target: &Fd, child: &Child) -> Result<u32> {
        let path = self.volume.target;
        let mode = |target: &Fd| sys::statx_fd(target.borrow()).map(|status| status.mode);
        let covered = mode(target).map_err(|e| e.about(path.to_bytes()))?;
        if !child.is_rehearsal {
            return Ok(covered);
        }
        // Only the host knows the mode of a directory that a dry run does not open.
        Ok(record::make(|| {
            let root = sys::open(self.root_on_host?, OpenFlags::PATH).ok()?;
            mode(&sys::open_in_root(&root, path, OpenFlags::PATH).ok()?).ok()
        })
        .unwrap_or(AS_TMP))
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
            ("/a:/b:z", Some(bind("/b", "/a", false))),
            ("/a:/b:ro,Z,cached,nocopy,rprivate", Some(bind("/b", "/a", true))),
            ("/a:/b:shared", None),
            ("/a:/b:ro,", None),
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
            (
                "/t:size=50%,uid=1,gid=4294967294,nr_inodes=1k",
                Some((usual, "size=50%,uid=1,gid=4294967294,nr_inodes=1k")),
            ),
            ("/t:size=123bogus", None),
            ("/t:size=18446744073709551616", None),
            ("/t:size=101%", None),
            ("/t:size=", None),
            ("/t:mode=8", None),
            ("/t:mode=", None),
            ("/t:uid=-1", None),
            ("/t:gid=4294967295", None),
            ("/t:nr_inodes=x", None),
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
