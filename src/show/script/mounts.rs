//! Mounts, by the names of mount(8).

use super::shell::{fill, put_item};
use super::{Translator, names_descriptor};
use crate::bytes::{self, Put, to_decimal};
use crate::sys::record::{Recorded, join};
use crate::sys::{self, MountAttr, MountFlags, OpenFlags};
use alloc::vec::Vec;

/// The flags of a mount by the options of mount(8).
const MOUNT_OPTIONS: [(MountFlags, &str); 7] = [
    (MountFlags::RDONLY, "ro"),
    (MountFlags::NOSUID, "nosuid"),
    (MountFlags::NODEV, "nodev"),
    (MountFlags::NOEXEC, "noexec"),
    (MountFlags::NOATIME, "noatime"),
    (MountFlags::NODIRATIME, "nodiratime"),
    (MountFlags::RELATIME, "relatime"),
];

/// The options that mount_setattr(2) and fsmount(2) add.
const MOUNT_ATTRIBUTES: [(MountAttr, &str); 4] = [
    (MountAttr::RDONLY, "ro"),
    (MountAttr::NOSUID, "nosuid"),
    (MountAttr::NODEV, "nodev"),
    (MountAttr::NOEXEC, "noexec"),
];

/// Appends the options for attributes of a mount.
pub(super) fn put_attributes(set: u64, options: &mut Vec<u8>) {
    for (attribute, name) in &MOUNT_ATTRIBUTES {
        if MountAttr::from_bits(set).has(*attribute) {
            put_item(options, name.as_bytes());
        }
    }
}

/// A mount on its way: fsopen(2), fsconfig(2), fsmount(2).
#[derive(Default)]
pub(super) struct NewMount {
    pub(super) kind: &'static [u8],
    pub(super) source: &'static [u8],
    pub(super) options: Vec<u8>,
    /// The descriptor of the mount that has been made, and not been attached yet.
    pub(super) fd: Option<usize>,
}

impl NewMount {
    pub(super) fn configure(&mut self, call: &Recorded) {
        match (call.bytes(2), call.bytes(3)) {
            // The one that makes it; and a flag, which is among the attributes too.
            (b"" | b"ro", _) => {}
            (b"source", source) => self.source = source,
            (key, value) => put_item(&mut self.options, &[key, b"=", value].concat()),
        }
    }

    pub(super) fn made(&mut self, call: &Recorded) {
        self.fd = Some(call.answer);
        put_attributes(call.number(2) as u64, &mut self.options);
    }
}

/// The path without links, dots and a slash at its end, as busybox's mount looks for it in /proc/mounts.
fn real_path(path: &'static [u8]) -> &'static [u8] {
    let found = sys::open(bytes::c_string(&[path]), OpenFlags::PATH).and_then(|file| sys::path_of(file.borrow()));
    found.map_or(path, |path| path.leak())
}

impl Translator {
    /// mount(2), by the names of mount(8).
    pub(super) fn mount(&mut self, call: &Recorded) {
        let (source, place, kind) = (call.bytes(0), call.bytes(1), call.bytes(2));
        let flags = MountFlags::from_bits(call.number(3) as u64);
        let (is_bind, is_remount) = (flags.has(MountFlags::BIND), flags.has(MountFlags::REMOUNT));
        if flags.has(MountFlags::SLAVE) {
            return self.line("mount --make-rslave /", &[]);
        }
        if self.root.is_none() && self.stage.is_none() && place == b"/proc" && kind != b"proc" {
            // A directory becomes the root where it is. What is put together is so over /sys: mount(8) reads /proc.
            let has_volumes = self.volumes.0 > 0;
            self.stage = Some(match is_bind {
                true => real_path(self.on_host(source)),
                false if has_volumes => b"/sys/stage",
                false => b"/sys",
            });
            if self.stage == Some(b"/") {
                self.stop(b"the root of this host is no new root for a shell: leave out --rootfs /");
            }
        }
        let (bound, target) = (self.on_host(source), self.on_host(place));
        // A path that this kernel does not have is left out.
        let mut line = Vec::new();
        if self.may_fail {
            fill(&mut line, "[ ! -e ~ ] || ", &[target]);
            if is_bind && !is_remount {
                fill(&mut line, "[ ! -e ~ ] || ", &[bound]);
            }
        }
        // Its own cgroup perhaps could not be made: then this would show the caller's.
        if kind == b"cgroup2" && self.notes_cgroup() {
            line.put(b"[ ! \"$own_cgroup\" ] || ");
        }
        // In a root of its own, that of a hierarchy that it could not join would be its caller's; what the place itself has is hidden.
        let is_below_own = !place.starts_with(b"/") && !place.ends_with(b"fs/cgroup");
        if kind == b"cgroup" && is_below_own && !self.perhaps_joined.is_empty() {
            let first = bytes::split(call.bytes(4), b',').next().unwrap_or_default();
            fill(&mut line, "! owns ~ || ", &[first]);
        }
        let is_image = source.starts_with(b"/dev/loop");
        let mut options = Vec::new();
        if is_remount {
            options.put(b"remount,bind");
        } else if is_image {
            options.put(b"loop");
        }
        for (flag, name) in &MOUNT_OPTIONS {
            if flags.has(*flag) {
                put_item(&mut options, name.as_bytes());
            }
        }
        if names_descriptor(place) && !is_remount {
            // What is new has the mode of /tmp.
            let (like, mode): (&[u8], &[u8]) = if is_bind { (bound, b"") } else { (b"/", b" 1777") };
            self.make_target(like, target, mode);
        }
        if !is_remount {
            self.mounted.push((target, kind == b"tmpfs"));
        }
        if is_remount {
            fill(&mut line, "mount -o ~ ~", &[&options, target]);
        } else if is_bind {
            let how: &[u8] = if flags.has(MountFlags::REC) { b"--rbind" } else { b"--bind" };
            fill(&mut line, "mount ^ ~ ~", &[how, bound, target]);
        } else {
            self.put_data(call.bytes(4), &mut options);
            fill(&mut line, "mount -t ^", &[kind]);
            if !options.is_empty() {
                fill(&mut line, " -o ~", &[&options]);
            }
            fill(&mut line, " ~ ~", &[if is_image { self.image } else { source }, target]);
        }
        self.line("^", &[&line]);
    }

    /// The options of a filesystem, with paths as they are here.
    fn put_data(&self, data: &'static [u8], options: &mut Vec<u8>) {
        for option in bytes::split(data, b',').filter(|option| !option.is_empty()) {
            match bytes::split_once(option, b'=') {
                Some((name, path)) if path.starts_with(b"/") => {
                    put_item(options, name);
                    options.put(b"=");
                    options.put(self.on_host(path));
                }
                _ => put_item(options, option),
            }
        }
    }

    /// What is mounted later is kept in memory, at /sys: what is mounted meanwhile would hide it, or come along.
    pub(super) fn keep_volume(&mut self, call: &Recorded) {
        let source = self.path(call, 0);
        if self.volumes.0 == 0 {
            self.line("mount -t tmpfs -o mode=755 tmpfs /sys\nmkdir /sys/stage", &[]);
        }
        let place = join(b"/sys", to_decimal(self.volumes.0).leak());
        let relative: &[u8] = if source.starts_with(b"/") { b"" } else { b"./" };
        self.line("keep ~ ^", &[&[relative, source].concat(), place]);
        self.volumes = (self.volumes.0 + 1, self.volumes.1 + 1);
        self.stands_for(call.answer, place);
    }

    /// In a root of its own, and in memory of its own, what is mounted on is made if it is missing: a directory, if `like` is one.
    pub(super) fn make_target(&mut self, like: &[u8], target: &[u8], mode: &[u8]) {
        if let Some(root) = self.root {
            self.line("target ~ ~ ~^", &[root, like, target, mode]);
        } else if let Some(memory) = self.memory_above(target) {
            self.line("target ~ ~ ~^", &[memory, like, target, mode]);
        }
    }

    /// The nearest mount above a path of this host, if it is memory of the container's own.
    pub(super) fn memory_above(&self, path: &[u8]) -> Option<&'static [u8]> {
        let is_above = |(place, _): &&(&[u8], bool)| bytes::below(path, place).is_some_and(|rest| !rest.is_empty());
        let nearest = self.mounted.iter().filter(is_above).max_by_key(|(place, _)| place.len());
        nearest.filter(|(_, is_memory)| *is_memory).map(|(place, _)| *place)
    }
}
