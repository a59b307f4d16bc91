//! The files of /etc that belong to the container: hosts, hostname, resolv.conf.

use super::create::{FILE, create_missing};
use super::dev::SHM;
use super::enter::restrict;
use super::own;
use crate::bytes::{self, Address, Put, parse_v6};
use crate::error::{Errno, Error, Result};
use crate::spec::{Network, Spec, Volume};
use crate::step::{Child, ChildStep, Slot};
use crate::sys::{self, Fd, MountAttr, MountFlags, OpenFlags, magic};
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
    /// The file as a mount, if others on the bridge write into it. Without it `BindEtcFile` makes the file.
    pub tree: Option<&'static Slot<Fd>>,
    /// The user has asked for lines in it: without them nothing runs.
    pub explicit: bool,
}

impl EtcFile {
    /// The error of a file that cannot be mounted, if the user has asked for what is in it.
    fn no_place(path: &CStr, explicit: bool) -> Result<()> {
        let hint = "leave out --add-host and --dns, or what is there instead";
        if explicit {
            Err(Error::refused("no file of the container can be mounted there:", path.to_bytes(), hint))
        } else {
            Ok(())
        }
    }
}

/// Where systemd-resolved lists the servers behind it.
const SERVERS: &CStr = c"/run/systemd/resolve/resolv.conf";

/// Whether the only servers of a resolv.conf are addresses of systemd-resolved, which does not listen in every network namespace.
fn asks_only_resolved(file: &[u8]) -> bool {
    let mut servers = bytes::split(file, b'\n').filter_map(|line| {
        let mut words = bytes::words(line);
        words.next().filter(|word| *word == b"nameserver").and_then(|_| words.next())
    });
    let is_resolved = |server: &[u8]| matches!(server, b"127.0.0.53" | b"127.0.0.54");
    servers.next().is_some_and(is_resolved) && servers.all(is_resolved)
}

/// The servers of `--dns`, and of the host's file what docker takes from it, too: in which domains a name is looked for, and how.
fn chosen_servers(servers: &[u8], of_host: &[u8]) -> Vec<u8> {
    let mut content = servers.to_vec();
    for line in bytes::split(of_host, b'\n') {
        let word = bytes::words(line).next().unwrap_or_default();
        if [&b"search"[..], b"domain", b"options"].contains(&word) {
            content.put(line);
            content.put(b"\n");
        }
    }
    content
}

/// The line of /etc/hosts for the container itself. The first name is the full one: hostname -f.
fn own_line(hostname: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    // A blank would make two names of it, and the end of a line another line.
    if !hostname.is_empty() && !hostname.iter().any(u8::is_ascii_whitespace) {
        line.put(b"127.0.0.1\t");
        put_names(hostname, &mut line);
        line.put(b"\n");
    }
    line
}

/// Puts a hostname, and its first part if it has several.
pub fn put_names(hostname: &[u8], line: &mut Vec<u8>) {
    line.put(hostname);
    if let Some((short, _)) = bytes::split_once(hostname, b'.') {
        line.put(b" ");
        line.put(short);
    }
}

/// hosts, hostname and resolv.conf, except those that a volume replaces. `local`: the name that hosts has for the container itself,
/// at 127.0.0.1; `gateway`: this host's address on its bridge.
pub fn files(
    spec: &Spec,
    hostname: &[u8],
    local: &[u8],
    gateway: Address,
    volumes: &[(Volume, Slot<Fd>)],
) -> Result<Vec<EtcFile>> {
    let mut files = Vec::new();
    for name in ["hosts", "hostname", "resolv.conf"] {
        let target = bytes::c_string(&[b"/etc/", name.as_bytes()]);
        let explicit = match name {
            "hosts" => !spec.hosts.is_empty(),
            "resolv.conf" => !spec.dns.is_empty(),
            _ => false,
        };
        if volumes.iter().any(|(volume, _)| volume.target == target) {
            EtcFile::no_place(target, explicit)?;
            continue;
        }
        let mut content = Vec::new();
        match name {
            "hosts" if !spec.network.is_host() => {
                content.put(b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
                content.put(&own_line(local));
            }
            "hostname" => {
                content.put(hostname);
                content.put(b"\n");
            }
            "resolv.conf" if explicit => {
                content = chosen_servers(&spec.dns, &sys::read_file(target).unwrap_or_default());
            }
            // A copy of the host's, if the host has such a file.
            _ => match sys::read_file(target) {
                Ok(copy) if asks_only_resolved(&copy) => content = sys::read_file(SERVERS).unwrap_or(copy),
                Ok(copy) => content = copy,
                Err(_) if explicit => {}
                Err(_) => continue,
            },
        }
        if name == "hosts" {
            put_hosts(&mut content, &spec.hosts, gateway);
        }
        let source = bytes::c_string(&[b"shm/", name.as_bytes()]);
        files.push(EtcFile { source, target, content: content.leak(), tree: None, explicit });
    }
    Ok(files)
}

/// Puts lines behind a file, whose last line may lack its end. In them `HOST_GATEWAY` stands for `gateway`.
fn put_hosts(file: &mut Vec<u8>, lines: &[u8], gateway: Address) {
    if !lines.is_empty() && file.last().is_some_and(|last| *last != b'\n') {
        file.put(b"\n");
    }
    let mut rest = lines;
    while let Some((line, after)) = bytes::split_once(rest, b'\n') {
        match line.strip_prefix(HOST_GATEWAY) {
            Some(name) => {
                gateway.put(file);
                file.put(name);
            }
            None => file.put(line),
        }
        file.put(b"\n");
        rest = after;
    }
}

/// Docker's word for the address of this host, in the place of an IP.
const HOST_GATEWAY: &[u8] = b"host-gateway";

/// Reads `NAME:IP`, and puts it as a line of /etc/hosts.
pub fn put_host(word: &str, spec: &mut Spec) -> Result<()> {
    let divider = if word.as_bytes().contains(&b'=') { b'=' } else { b':' };
    let is_address = |ip| is_ip(ip) || ip == HOST_GATEWAY && matches!(spec.network, Network::Bridge(_));
    match bytes::split_once(word.as_bytes(), divider).map(|(name, ip)| (name, without_brackets(ip))) {
        Some((name, ip)) if !name.is_empty() && !name.iter().any(u8::is_ascii_whitespace) && is_address(ip) => {
            for part in [ip, b"\t", name, b"\n"] {
                spec.hosts.put(part);
            }
            Ok(())
        }
        _ => {
            let message = "--add-host is NAME:IP, or with --network bridge NAME:host-gateway";
            Err(Error::usage(message, word.as_bytes()))
        }
    }
}

/// An IPv6 address that is in brackets, as docker takes it too.
fn without_brackets(ip: &[u8]) -> &[u8] {
    ip.strip_prefix(b"[").and_then(|ip| ip.strip_suffix(b"]")).unwrap_or(ip)
}

/// Reads an address, and puts it as a line of resolv.conf.
pub fn put_server(ip: &str, lines: &mut Vec<u8>) -> Result<()> {
    let ip = ip.as_bytes();
    if !is_ip(ip) {
        return Err(Error::usage("--dns is the address of a server", ip));
    }
    lines.put(b"nameserver ");
    lines.put(ip);
    lines.put(b"\n");
    Ok(())
}

fn is_ip(word: &[u8]) -> bool {
    Address::parse(word).is_some() || parse_v6(word).is_some()
}

/// For a container with a name of its own and the host's files: the host's hosts, with that name. It is written where shared
/// memory is mounted later, unless it is `shared` with others on its bridge.
pub fn named_hosts(
    spec: &Spec,
    name: Option<&str>,
    gateway: Address,
    volumes: &[(Volume, Slot<Fd>)],
    shared: bool,
) -> Result<Option<EtcFile>> {
    let target = c"/etc/hosts";
    let explicit = !spec.hosts.is_empty();
    let is_replaced = volumes.iter().any(|(volume, _)| volume.target == target);
    let has_place = !is_replaced && (shared || !spec.host_ipc && sys::is_directory(SHM));
    let content = if has_place { sys::read_file(target).ok() } else { None };
    let Some(mut content) = content else { return EtcFile::no_place(target, explicit).map(|()| None) };
    put_hosts(&mut content, &own_line(name.unwrap_or_default().as_bytes()), gateway);
    put_hosts(&mut content, &spec.hosts, gateway);
    Ok(Some(EtcFile { source: c"/dev/shm/hosts", target, content: content.leak(), tree: None, explicit }))
}

/// For a container with the host's files: its own resolv.conf, with the servers that it asks for; or, in a network that may lead
/// outside and is not the host's, with those behind the host's systemd-resolved.
pub fn own_servers(spec: &Spec, volumes: &[(Volume, Slot<Fd>)]) -> Result<Option<EtcFile>> {
    let target = c"/etc/resolv.conf";
    let explicit = !spec.dns.is_empty();
    let is_replaced = volumes.iter().any(|(volume, _)| volume.target == target);
    let has_place = !is_replaced && !spec.host_ipc && sys::is_directory(SHM);
    // On the host's own files none is created.
    let of_host = if has_place { sys::read_file(target).ok() } else { None };
    let content = match of_host {
        None => return EtcFile::no_place(target, explicit).map(|()| None),
        Some(file) if explicit => Some(chosen_servers(&spec.dns, &file)),
        Some(file) if asks_only_resolved(&file) => sys::read_file(SERVERS).ok(),
        Some(_) => None,
    };
    Ok(content.map(|content| {
        let content = content.leak();
        EtcFile { source: c"/dev/shm/resolv.conf", target, content, tree: None, explicit }
    }))
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

    may_fail |step| !step.file.explicit
}

impl ChildStep for BindEtcFile {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let EtcFile { source, target: path, content, tree, explicit } = self.file;
        let leave_out = || EtcFile::no_place(path, *explicit);
        let target = match sys::openat2(path, OpenFlags::PATH) {
            Err(e) if e.is(Errno::ENOENT) => match create_missing(path, FILE, child) {
                // The root is read-only, or a link there leads nowhere.
                Err(e) if e.is(Errno::EROFS) || e.is(Errno::EEXIST) => return leave_out(),
                other => other.and_then(|()| sys::openat2(path, OpenFlags::PATH))?,
            },
            Err(e) if e.is(Errno::ELOOP) || e.is(Errno::ENOTDIR) => return leave_out(),
            other => other?,
        };
        // A link may lead to a device, which programs need as it is.
        let kind = sys::statx_fd(target.borrow()).map_err(|e| e.about(path.to_bytes()))?.kind();
        if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
            return leave_out();
        }
        // A link may lead to /proc, where nothing is to be mounted.
        if sys::filesystem(target.borrow())? == magic::PROC {
            return leave_out();
        }
        if let Some(tree) = tree.and_then(Slot::take) {
            sys::move_mount(&tree, &target, path)?;
            return restrict(child, &tree, path, MountAttr::RDONLY, MountFlags::NONE);
        }
        let source = sys::create(child.own.dev.as_ref().map(Fd::borrow), source, content)?;
        let source = own::name_of(child, &source)?;
        let source = source.as_c_str().unwrap_or_default();
        if self.read_only {
            let tree = sys::open_tree_of_file(source)?;
            sys::move_mount(&tree, &target, path)?;
            return restrict(child, &tree, path, MountAttr::RDONLY, MountFlags::NONE);
        }
        let target = own::name_of(child, &target)?;
        sys::mount(source, target.as_c_str().unwrap_or_default(), c"", MountFlags::BIND, None).map_err(|e| {
            e.about(path.to_bytes()).hint_for(&[(Errno::ENOTDIR, "the root has a directory there: rmdir it")])
        })
    }
}
