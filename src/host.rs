//! What this host offers, and what mydocker has been started with, as data. Only what a run needs is read.

use crate::bytes;
use crate::error::Result;
use crate::mountinfo::{self, Mount};
use crate::spec::{Capabilities, Content, Limits, Spec, Volume};
use crate::sys::{self, OpenFlags, Pid, SigSet};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The host as this process sees it.
pub struct Host {
    /// mydocker's own pid.
    pub pid: Pid,
    /// Its effective user and group.
    pub ids: (u32, u32),
    /// The caller's environment.
    pub environment: &'static [&'static CStr],
    /// The mounts of /proc/self/mountinfo, if something is to be looked up there; none otherwise.
    pub mounts: Result<Vec<Mount<'static>>>,
    /// /proc/self/status.
    pub status: Status,
}

impl Host {
    /// Looks at what the `spec` needs.
    pub fn look(spec: &Spec, environment: &'static [&'static CStr]) -> &'static Host {
        let is_read_only = |volume: &Volume| matches!(volume.content, Content::Host { read_only: true, .. });
        let needs_mounts = spec.privilege.confined
            || spec.ephemeral
            || spec.limits != Limits::default()
            || spec.read_only
            || spec.volumes.iter().any(is_read_only);
        let read = || sys::read_file(c"/proc/self/mountinfo").map(|file| mountinfo::parse(file.leak()));
        let pid = sys::getpid();
        let status = Status::read();
        Box::leak(Box::new(Host {
            pid,
            ids: status.ids.unwrap_or_else(sys::effective_ids),
            environment,
            mounts: if needs_mounts { read() } else { Ok(Vec::new()) },
            status,
        }))
    }

    /// Whether something is mounted below `path`, or that cannot be found out.
    pub fn has_mounts_below(&self, path: &CStr) -> bool {
        let Ok(mounts) = self.mounts.as_deref() else { return true };
        // Of a filesystem that may never answer nothing is asked here: the child does, whom mydocker waits for.
        let (mut length, mut may_hang) = (0, false);
        for mount in mounts {
            let point = mountinfo::unescape(mount.point).to_bytes();
            if point.len() >= length && bytes::below(path.to_bytes(), point).is_some() {
                (length, may_hang) = (point.len(), is_served(mount.fstype));
            }
        }
        let found = match may_hang {
            true => Ok(path.to_bytes().to_vec()),
            false => sys::open(path, OpenFlags::PATH).and_then(|opened| sys::path_of(opened.borrow())),
        };
        let Ok(path) = found else { return true };
        let is_below = |mount: &Mount| {
            bytes::below(mountinfo::unescape(mount.point).to_bytes(), &path).is_some_and(|below| !below.is_empty())
        };
        mounts.is_empty() || mounts.iter().any(is_below)
    }

    /// The value of a variable of the caller's.
    pub fn variable(&self, key: &[u8]) -> Option<&'static [u8]> {
        crate::environment::get(self.environment, key)
    }
}

/// What this process has inherited: proc_pid_status(5). If /proc cannot be read, all signals count as ignored, and all
/// capabilities as present.
pub struct Status {
    /// Its pid in the PID namespace of this /proc.
    pub pid: Option<u64>,
    /// Its effective user and group, if /proc tells.
    pub ids: Option<(u32, u32)>,
    /// The signals that it ignores, except SIGCHLD, which mydocker sets to its default.
    pub ignored: SigSet,
    /// It ignores SIGCHLD, or may do so.
    pub ignores_children: bool,
    /// Its capability bounding set.
    pub bounding: Capabilities,
    /// Its permitted capabilities.
    pub permitted: Capabilities,
    /// Its inheritable capabilities: a file may give them to the command.
    pub inheritable: Capabilities,
    /// It has supplementary groups.
    pub has_groups: bool,
    /// The list of the CPUs that it may run on, if /proc tells.
    pub cpus: Option<&'static [u8]>,
}

/// Whether another process or another host answers for a filesystem of this type.
fn is_served(fstype: &[u8]) -> bool {
    fstype.starts_with(b"fuse")
        || fstype.starts_with(b"nfs")
        || matches!(fstype, b"cifs" | b"smb3" | b"9p" | b"ceph" | b"autofs")
}

const CHLD: SigSet = SigSet::of(&[libc::SIGCHLD]);

impl Status {
    /// Of this process.
    fn read() -> Status {
        let mut buffer = [0u8; 4096];
        // The line of supplementary groups comes first and can be long: a process can have 65,536 of them.
        let file = match sys::read_up_to(None, c"/proc/self/status", &mut buffer) {
            Ok(file) if file.len() < 4096 => file,
            Ok(_) => sys::read_file(c"/proc/self/status").unwrap_or_default().leak(),
            Err(_) => b"",
        };
        let set = |key: &[u8]| bytes::field(file, key).and_then(bytes::hexadecimal);
        // Real, effective, saved, and that of the filesystem.
        let id = |key: &[u8]| {
            let effective = bytes::split(bytes::field(file, key)?, b'\t').nth(1)?;
            u32::try_from(bytes::decimal(effective).ok()?).ok()
        };
        let ignored = set(b"SigIgn:").unwrap_or(SigSet::ALL.0);
        Status {
            pid: bytes::field(file, b"Pid:").and_then(|pid| bytes::decimal(pid).ok()),
            ids: id(b"Uid:").zip(id(b"Gid:")),
            ignored: SigSet(ignored & !CHLD.0),
            ignores_children: ignored & CHLD.0 != 0,
            bounding: Capabilities(set(b"CapBnd:").unwrap_or(Capabilities::ALL.0)),
            permitted: Capabilities(set(b"CapPrm:").unwrap_or(Capabilities::ALL.0)),
            inheritable: Capabilities(set(b"CapInh:").unwrap_or(Capabilities::ALL.0)),
            cpus: bytes::field(file, b"Cpus_allowed_list:").map(|list| &*list.to_vec().leak()),
            has_groups: bytes::field(file, b"Groups:").is_none_or(|groups| !groups.is_empty()),
        }
    }
}
