//! What a container is to be, in the kernel's terms, independent of the command line.

pub mod limits;

pub use limits::{Limit, LimitWords, Limits};

use crate::bytes::{Address, Subnet};
use crate::sys::{MountFlags, Place, Resource, SocketAddress};
use alloc::vec::Vec;
use core::ffi::CStr;

/// A container that is wanted.
#[derive(Default)]
pub struct Spec {
    /// What it may use.
    pub limits: Limits,
    /// Where its cgroups are made: absolute, or relative to the caller's cgroup.
    pub cgroup_parent: Option<&'static str>,
    /// Its name: that of its cgroups and, without `hostname`, its hostname.
    pub name: Option<&'static str>,
    /// The file for its pid on this host.
    pub pid_file: Option<&'static CStr>,
    /// The folder of its record, if the user names one.
    pub state: Option<&'static CStr>,
    /// Others on its bridge are not told its names, as a script could not take them back.
    pub untold: bool,
    /// It stays in the background, and its record stays when it has ended.
    pub detach: bool,
    /// The signal that `stop` sends, if it is not SIGTERM.
    pub stop_signal: Option<i32>,
    /// It is ended by SIGKILL after so many seconds.
    pub timeout: Option<u32>,
    /// The file for its name.
    pub cid_file: Option<&'static CStr>,
    /// Its record is removed when it has ended.
    pub remove: bool,
    /// Whether it is started again when it has ended, with `detach`.
    pub restart: Option<Restart>,
    /// Its standard input stays open, with `detach`.
    pub interactive: bool,
    /// Where its output goes, with `detach`.
    pub log: LogTo,
    /// How long its log may get, in bytes.
    pub log_size: Option<u64>,
    /// The options that `exec` needs, as names and values.
    pub words: Vec<&'static str>,
    /// The path of its root: a directory, or a file with a filesystem in it.
    pub rootfs: Option<&'static CStr>,
    /// Writes go to memory.
    pub ephemeral: bool,
    /// The size of that memory in bytes, if the user gave one.
    pub ephemeral_size: Option<u64>,
    /// The root cannot be written to.
    pub read_only: bool,
    /// What is mounted in it, in the order of the command line.
    pub volumes: Vec<Volume>,
    /// Devices of the host: the path there, and the path in the root.
    pub devices: Vec<[&'static CStr; 2]>,
    /// The size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// It has a terminal of its own.
    pub tty: bool,
    /// PID 1 is mydocker's reaper.
    pub init: bool,
    /// Assignments `K=V`, or `K` for the caller's value.
    pub env: &'static [&'static str],
    /// Files with such assignments.
    pub env_files: Vec<&'static CStr>,
    /// Variables that it does not get unless `env` or `env_files` sets them.
    pub unset_env: &'static [&'static str],
    /// How many descriptors of mydocker's caller it gets, from 3 on.
    pub passed: i32,
    /// LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, if the caller activates it by sockets: sd_listen_fds(3).
    pub listening: Vec<&'static CStr>,
    /// The umask of the command, if it is not the default.
    pub umask: Option<u32>,
    /// How soon the kernel is to kill it for want of memory: proc_pid_oom_score_adj(5).
    pub oom_score_adj: Option<&'static str>,
    /// Supplementary groups beside those of the user: names or numbers.
    pub groups: &'static [&'static str],
    /// Parameters of the kernel for its own namespaces: files of /proc/sys, and their values.
    pub sysctls: Vec<(&'static CStr, &'static [u8])>,
    /// The working directory of the command.
    pub workdir: Option<&'static CStr>,
    /// The user to run as: `USER` or `USER:GROUP`, names or numbers.
    pub user: Option<&'static str>,
    /// Resource limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// The hostname.
    pub hostname: Option<&'static str>,
    /// Its network.
    pub network: Network,
    /// The ports of the host that lead into it.
    pub ports: Vec<Port>,
    /// Lines for /etc/hosts.
    pub hosts: Vec<u8>,
    /// All lines of /etc/resolv.conf, if it is not the host's.
    pub dns: Vec<u8>,
    /// It shares the host's PID namespace.
    pub host_pid: bool,
    /// It shares the host's IPC namespace.
    pub host_ipc: bool,
    /// Whose processes it joins: the directory of the first one in /proc, once that is open; and the name of the container.
    pub pid_of: Option<(&'static CStr, &'static CStr)>,
    /// The root of that container, if that is its mydocker's.
    pub pid_of_root: Option<Place>,
    /// The IPC namespace that it joins: the file that stands for it, likewise.
    pub ipc_of: Option<(&'static CStr, &'static CStr)>,
    /// It shares the host's UTS namespace.
    pub host_uts: bool,
    /// It has no user namespace, even if the caller is not root.
    pub host_user: bool,
    /// In a user namespace of its own, the caller's ids stay what they are.
    pub keep_id: bool,
    /// What the command may do.
    pub privilege: Privilege,
    /// Numbers are wanted at the end.
    pub stats: Option<StatsTo>,
}

impl Spec {
    /// Whether it has a root of its own: one that is not the host's, or the host's with its writes in memory.
    pub fn has_own_root(&self) -> bool {
        self.rootfs.is_some() || self.ephemeral
    }
}

/// The network of a container.
#[derive(Clone, Copy, Default)]
pub enum Network {
    /// Its own, with lo.
    #[default]
    None,
    /// The host's.
    Host,
    /// Its own, with an interface on a bridge of the host.
    Bridge(BridgeWanted),
    /// Its own, which slirp4netns connects with the outside.
    Slirp,
    /// Its own, which pasta connects with the outside.
    Pasta,
    /// The network namespace that this file stands for, and the word that the user knows it by.
    Namespace(&'static CStr, &'static CStr),
    /// That of the container of this name.
    Container(&'static CStr),
}

impl Network {
    /// Whether it shares the host's network namespace.
    pub fn is_host(self) -> bool {
        matches!(self, Network::Host)
    }

    /// Whether it has a network namespace that is new.
    pub fn is_new(self) -> bool {
        matches!(self, Network::None | Network::Bridge(_) | Network::Slirp | Network::Pasta)
    }
}

/// A port of the host that leads into the container.
#[derive(Clone, Copy)]
pub struct Port {
    /// The word of the command line.
    pub word: &'static str,
    /// The address of the host, if one is given.
    pub address: Option<SocketAddress>,
    /// That address, as it was written; 0.0.0.0 if none is given.
    pub address_word: &'static [u8],
    /// The port of the host; 0: any that is free.
    pub host: u16,
    /// The last of those that are tried, from `host` on, until one is free.
    pub host_last: u16,
    /// The port in the container.
    pub container: u16,
    /// It is for UDP, not for TCP.
    pub datagrams: bool,
}

/// A bridge, as the command line names it.
#[derive(Clone, Copy)]
pub struct BridgeWanted {
    /// Its name.
    pub name: &'static str,
    /// Its network, if one is given.
    pub subnet: Option<Subnet>,
    /// The address of the container, if one is given.
    pub address: Option<Address>,
    /// The hardware address of the container's end, if one is given.
    pub mac: Option<[u8; 6]>,
    /// The host is to forward packets.
    pub forward: bool,
}

/// When a container is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it has ended.
    Always,
    /// When its status is not 0: so many times at most, unless that is 0.
    OnFailure(u64),
}

/// Where the output of a detached container goes.
#[derive(Clone, Copy, Default)]
pub enum LogTo {
    /// Into the log in its record.
    #[default]
    Own,
    /// Into this file.
    File(&'static CStr),
    /// Nowhere.
    Nowhere,
    /// Where that of mydocker goes.
    Caller,
}

impl LogTo {
    /// Whether its output goes where that of mydocker goes.
    pub fn is_callers(self) -> bool {
        matches!(self, LogTo::Caller)
    }
}

/// Where the numbers of `--stats` go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StatsTo {
    /// To stderr, as text.
    Text,
    /// To stderr, as one line of JSON.
    Json,
    /// Into this file; as JSON if its name ends in `.json`.
    File(&'static CStr),
}

/// One mount in the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where: absolute, without `.` and `..`, neither `/` nor on /proc.
    pub target: &'static CStr,
    /// What.
    pub content: Content,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory or a file of the host, with all that is mounted below it.
    Host {
        /// Its path there.
        source: &'static CStr,
        /// Nothing can be written to it through this mount.
        read_only: bool,
        /// Its device nodes can be opened.
        devices: bool,
    },
    /// A tmpfs.
    Memory {
        /// The flags of the mount.
        flags: MountFlags,
        /// The options of tmpfs(5): `size=..,mode=..`.
        data: &'static CStr,
    },
}

impl Content {
    /// What of the host is mounted: it is opened before the root is entered.
    pub fn source(&self) -> Option<&'static CStr> {
        match self {
            Content::Host { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A resource limit: getrlimit(2). [`u64::MAX`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Which one.
    pub resource: Resource,
    /// What is enforced.
    pub soft: u64,
    /// How far a process may raise it.
    pub hard: u64,
}

/// A set of capabilities: capability n is bit n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// As many as there may ever be.
    pub const ALL: Self = Capabilities(u64::MAX);
}

/// What the command may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// What it keeps of mydocker's own capabilities.
    pub capabilities: Capabilities,
    /// Those of them that were asked for by name: without them nothing runs.
    pub explicit: Capabilities,
    /// execve(2) gives it no privilege: set-user-ID programs, file capabilities.
    pub no_new_privs: bool,
    /// It has the seccomp filter.
    pub filtered: bool,
    /// Its cgroup is the top of what it sees, and /sys cannot be written to.
    pub confined: bool,
}
