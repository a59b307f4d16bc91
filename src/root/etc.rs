//! The files of /etc that belong to the container: hosts, hostname, resolv.conf.

use super::create::{FILE, create_missing};
use super::dev::SHM;
use super::enter::restrict;
use super::own;
use crate::bytes::{self, Put};
use crate::error::{Errno, Result};
use crate::spec::Volume;
use crate::step::{Child, ChildStep, Slot};
use crate::sys::{self, Fd, MountAttr, MountFlags, OpenFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// A file that is mounted over one in the root.
pub struct EtcFile {
    /// Where in /dev it is written: the shared memory that is mounted there later hides it.
    pub source: &'static CStr,
    /// Where it is mounted.
    pub target: &'static CStr,
    /// What is in it.
    pub content: &'static [u8],
}

/// Where systemd-resolved keeps the servers that it asks itself.
const SERVERS: &CStr = c"/run/systemd/resolve/resolv.conf";

/// Whether the one server of a resolv.conf is the address of systemd-resolved, which does not listen in every network namespace.
fn asks_only_resolved(file: &[u8]) -> bool {
    let mut servers = bytes::split(file, b'\n').filter_map(|line| line.strip_prefix(b"nameserver")).map(bytes::trimmed);
    servers.next() == Some(b"127.0.0.53") && servers.next().is_none()
}

/// The line of /etc/hosts for the container itself. The first name is the full one: hostname -f.
fn own_line(hostname: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    if !hostname.is_empty() {
        line.put(b"127.0.0.1\t");
        line.put(hostname);
        if let Some((short, _)) = bytes::split_once(hostname, b'.') {
            line.put(b" ");
            line.put(short);
        }
        line.put(b"\n");
    }
    line
}

/// hosts, hostname and resolv.conf, except those that a volume replaces.
pub fn files(hostname: &[u8], host_network: bool, volumes: &[(Volume, Slot<Fd>)]) -> Vec<EtcFile> {
    let mut files = Vec::new();
    let mut add = |name: &[u8], parts: &[&[u8]]| {
        let target = bytes::c_string(&[b"/etc/", name]);
        if volumes.iter().any(|(volume, _)| volume.target == target) {
            return;
        }
        let mut content = bytes::c_string(parts).to_bytes();
        // Without parts it is a copy of the host's, if the host has such a file.
        if parts.is_empty() {
            let Ok(mut copy) = sys::read_file(target) else { return };
            if asks_only_resolved(&copy)
                && let Ok(servers) = sys::read_file(SERVERS)
            {
                copy = servers;
            }
            content = copy.leak();
        }
        files.push(EtcFile { source: bytes::c_string(&[b"shm/", name]), target, content });
    };
    let hosts: &[&[u8]] = &[b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", &own_line(hostname)];
    add(b"hosts", if host_network { &[] } else { hosts });
    add(b"hostname", &[hostname, b"\n"]);
    add(b"resolv.conf", &[]);
    files
}

/// For a container with a name of its own and the host's files: the host's hosts, with that name. It is written where shared
/// memory is mounted later.
pub fn named_hosts(name: &str, volumes: &[(Volume, Slot<Fd>)]) -> Option<EtcFile> {
    let target = c"/etc/hosts";
    if volumes.iter().any(|(volume, _)| volume.target == target) || !sys::is_directory(SHM) {
        return None;
    }
    let mut content = sys::read_file(target).ok()?;
    if content.last().is_some_and(|last| *last != b'\n') {
        content.put(b"\n");
    }
    content.put(&own_line(name.as_bytes()));
    Some(EtcFile { source: c"/dev/shm/hosts", target, content: content.leak() })
}

step! {
    /// Binds a file of its own over the root's.
    ///
    /// Where the root has none an empty one is created, if the root can be written to.
    pub struct BindEtcFile {
        /// The file.
        pub file: &'static EtcFile,
        /// It cannot be written to, as the rest of the root.
        pub read_only: bool,
    }

    may_fail |_| true
}

impl ChildStep for BindEtcFile {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let EtcFile { source, target: path, content } = self.file;
        let target = match sys::openat2(path, OpenFlags::PATH) {
            Err(e) if e.is(Errno::ENOENT) => match create_missing(path, FILE, child) {
                // The root is read-only, or a link there leads nowhere.
                Err(e) if e.is(Errno::EROFS) || e.is(Errno::EEXIST) => return Ok(()),
                other => other.and_then(|()| sys::openat2(path, OpenFlags::PATH))?,
            },
            Err(e) if e.is(Errno::ELOOP) || e.is(Errno::ENOTDIR) => return Ok(()),
            other => other?,
        };
        // A link may lead to a device, which programs need as it is.
        let kind = sys::statx_fd(target.borrow()).map_err(|e| e.about(path.to_bytes()))?.kind();
        if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
            return Ok(());
        }
        // A link may lead to /proc, where nothing is to be mounted.
        if sys::is_on_proc(target.borrow())? {
            return Ok(());
        }
        let source = sys::create(child.own.dev.as_ref(), source, content)?;
        let source = own::name_of(child, &source)?;
        let source = source.as_c_str().unwrap_or_default();
        if self.read_only {
            let tree = sys::open_tree_of_file(source)?;
            sys::move_mount(&tree, &target, path)?;
            return restrict(child, &tree, path, MountAttr::RDONLY, MountFlags::NONE);
        }
        let target = own::name_of(child, &target)?;
        sys::mount(source, target.as_c_str().unwrap_or_default(), c"", MountFlags::BIND, None)
            .map_err(|e| e.about(path.to_bytes()))
    }
}
