//! Flag types and enumerations of the kernel, with the names that their man pages give them.

use super::gate::{Arg, Names, Object, Print, Show, word};
use crate::bytes::{FixedBytes, Put, Sink, decimal};
use crate::capabilities::CAPABILITIES;

/// Whether the values are 0, 1, 2 and so on.
const fn counts(values: &[u64]) -> bool {
    let mut at = 0;
    while at < values.len() {
        if values[at] != at as u64 {
            return false;
        }
        at += 1;
    }
    true
}

macro_rules! flags {
    ($($(#[$doc:meta])* $kind:ident $type:ident { $($(#[$note:meta])* $name:ident = $prefix:ident $value:expr,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $type(pub(super) u64);

        #[allow(dead_code)]
        impl $type {
            $($(#[$note])* #[allow(missing_docs)] pub const $name: Self = Self($value as u64);)*

            /// No flag, or the value zero.
            pub const NONE: Self = Self(0);

            const NAMES: Names = flags!(@names $kind $($prefix $name $value),*);

            /// As the kernel takes them.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// As the kernel gives them.
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits)
            }

            /// Whether all of `other` are set.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// These without `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Puts the names, joined by `|`; bits without a name in hexadecimal.
            pub fn put(self, out: &mut dyn Sink) {
                Self::NAMES.put(self.0, out);
            }

            /// The names, as `put` has them.
            pub fn names(self) -> FixedBytes {
                let mut names = FixedBytes::new();
                self.put(&mut names);
                names
            }
        }

        impl Arg for $type {
            const SHOW: &'static Show = &Show::Flags($type::NAMES);
            fn reg(&self) -> usize {
                self.0 as usize
            }
        }

        impl core::ops::BitOr for $type {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    )* };
    (@names bits $($prefix:ident $name:ident $value:expr),*) => {
        Names::Bits(&[$((flags!(@name $prefix $name), $value as u64)),*])
    };
    (@names one $($prefix:ident $name:ident $value:expr),*) => {
        Names::One(&[$((flags!(@name $prefix $name), $value as u64)),*])
    };
    // The values are 0, 1, 2 and so on.
    (@names numbered $($prefix:ident $name:ident $value:expr),*) => {{
        const VALUES: &[u64] = &[$($value as u64),*];
        const { assert!(counts(VALUES)) }
        Names::Numbered(&[$(flags!(@name $prefix $name)),*])
    }};
    (@name unnamed $name:ident) => { "" };
    (@name bare $name:ident) => { stringify!($name) };
    (@name $prefix:ident $name:ident) => { concat!(stringify!($prefix), stringify!($name)) };
}

flags! {
    /// clone(2): which namespaces are new. The low byte is the signal that the parent gets when the child ends.
    bits CloneFlags {
        NEWNS = CLONE_ libc::CLONE_NEWNS,
        NEWUTS = CLONE_ libc::CLONE_NEWUTS,
        NEWIPC = CLONE_ libc::CLONE_NEWIPC,
        NEWPID = CLONE_ libc::CLONE_NEWPID,
        NEWNET = CLONE_ libc::CLONE_NEWNET,
        NEWUSER = CLONE_ libc::CLONE_NEWUSER,
        NEWCGROUP = CLONE_ libc::CLONE_NEWCGROUP,
        /// The child has the same parent as this process.
        PARENT = CLONE_ libc::CLONE_PARENT,
        PARENT_SETTID = CLONE_ libc::CLONE_PARENT_SETTID,
        /// clone3(2) only: the child is born in the cgroup whose directory is given.
        INTO_CGROUP = CLONE_ 0x2_0000_0000u64,
        SIGCHLD = bare libc::SIGCHLD,
    }
    /// mount(2).
    bits MountFlags {
        NOSUID = MS_ libc::MS_NOSUID,
        NODEV = MS_ libc::MS_NODEV,
        NOEXEC = MS_ libc::MS_NOEXEC,
        RDONLY = MS_ libc::MS_RDONLY,
        REMOUNT = MS_ libc::MS_REMOUNT,
        BIND = MS_ libc::MS_BIND,
        MOVE = MS_ libc::MS_MOVE,
        NOATIME = MS_ libc::MS_NOATIME,
        NODIRATIME = MS_ libc::MS_NODIRATIME,
        RELATIME = MS_ libc::MS_RELATIME,
        REC = MS_ libc::MS_REC,
        SLAVE = MS_ libc::MS_SLAVE,
        PRIVATE = MS_ libc::MS_PRIVATE,
    }
    /// umount2(2).
    bits UmountFlags {
        DETACH = MNT_ libc::MNT_DETACH,
    }
    /// open_tree(2). AT_RECURSIVE takes the mounts below as well.
    bits OpenTreeFlags {
        CLONE = OPEN_TREE_ 1,
        CLOEXEC = OPEN_TREE_ libc::O_CLOEXEC,
        RECURSIVE = AT_ 0x8000,
    }
    /// move_mount(2): both ends are descriptors.
    bits MoveMountFlags {
        F_EMPTY_PATH = MOVE_MOUNT_ 0x4,
        T_EMPTY_PATH = MOVE_MOUNT_ 0x40,
    }
    /// mount_setattr(2).
    bits MountAttr {
        RDONLY = MOUNT_ATTR_ 1,
        NOSUID = MOUNT_ATTR_ 2,
        NODEV = MOUNT_ATTR_ 4,
        NOEXEC = MOUNT_ATTR_ 8,
    }
    /// fsopen(2).
    bits FsOpenFlags {
        CLOEXEC = FSOPEN_ 1,
    }
    /// fsconfig(2).
    one FsConfig {
        SET_FLAG = FSCONFIG_ 0,
        SET_STRING = FSCONFIG_ 1,
        CMD_CREATE = FSCONFIG_ 6,
    }
    /// fsmount(2).
    bits FsMountFlags {
        CLOEXEC = FSMOUNT_ 1,
    }
    /// open(2). Reading only is the kernel's zero.
    bits OpenFlags {
        WRONLY = O_ libc::O_WRONLY,
        RDWR = O_ libc::O_RDWR,
        CREAT = O_ libc::O_CREAT,
        EXCL = O_ libc::O_EXCL,
        TRUNC = O_ libc::O_TRUNC,
        APPEND = O_ libc::O_APPEND,
        DIRECTORY = O_ libc::O_DIRECTORY,
        PATH = O_ libc::O_PATH,
        CLOEXEC = O_ libc::O_CLOEXEC,
        NOCTTY = O_ libc::O_NOCTTY,
        NONBLOCK = O_ libc::O_NONBLOCK,
        NOFOLLOW = O_ libc::O_NOFOLLOW,
    }
    /// openat2(2): how a path is resolved.
    bits ResolveFlags {
        NO_MAGICLINKS = RESOLVE_ 2,
        NO_SYMLINKS = RESOLVE_ 4,
        IN_ROOT = RESOLVE_ 0x10,
    }
    /// close_range(2).
    bits CloseRangeFlags {
        CLOEXEC = CLOSE_RANGE_ libc::CLOSE_RANGE_CLOEXEC,
    }
    /// mmap(2), mprotect(2).
    bits Prot {
        READ = PROT_ libc::PROT_READ,
        WRITE = PROT_ libc::PROT_WRITE,
    }
    /// madvise(2).
    one Advice {
        DONTFORK = MADV_ libc::MADV_DONTFORK,
    }
    /// mmap(2).
    bits MapFlags {
        PRIVATE = MAP_ libc::MAP_PRIVATE,
        SHARED = MAP_ libc::MAP_SHARED,
        ANONYMOUS = MAP_ libc::MAP_ANONYMOUS,
        NORESERVE = MAP_ libc::MAP_NORESERVE,
        STACK = MAP_ libc::MAP_STACK,
    }
    /// The `*at` calls.
    bits AtFlags {
        REMOVEDIR = AT_ libc::AT_REMOVEDIR,
        SYMLINK_NOFOLLOW = AT_ libc::AT_SYMLINK_NOFOLLOW,
        EMPTY_PATH = AT_ libc::AT_EMPTY_PATH,
        RECURSIVE = AT_ 0x8000,
    }
    /// statx(2): which fields are asked for.
    bits StatxMask {
        BASIC_STATS = STATX_ libc::STATX_BASIC_STATS,
        MNT_ID = STATX_ libc::STATX_MNT_ID,
    }
    /// access(2).
    one Access {
        F_OK = bare libc::F_OK,
        W_OK = bare libc::W_OK,
        X_OK = bare libc::X_OK,
    }
    /// lseek(2).
    one Whence {
        SET = SEEK_ libc::SEEK_SET,
        CUR = SEEK_ libc::SEEK_CUR,
    }
    /// fcntl(2).
    one Fcntl {
        GETFL = F_ libc::F_GETFL,
        SETFL = F_ libc::F_SETFL,
        DUPFD_CLOEXEC = F_ libc::F_DUPFD_CLOEXEC,
        ADD_SEALS = F_ libc::F_ADD_SEALS,
        GET_SEALS = F_ libc::F_GET_SEALS,
    }
    /// fcntl(2) F_ADD_SEALS: what can no longer be done to a file in memory.
    bits Seals {
        SEAL = F_SEAL_ libc::F_SEAL_SEAL,
        SHRINK = F_SEAL_ libc::F_SEAL_SHRINK,
        GROW = F_SEAL_ libc::F_SEAL_GROW,
        WRITE = F_SEAL_ libc::F_SEAL_WRITE,
    }
    /// memfd_create(2).
    bits Memfd {
        CLOEXEC = MFD_ libc::MFD_CLOEXEC,
        ALLOW_SEALING = MFD_ libc::MFD_ALLOW_SEALING,
        // Linux 6.3.
        EXEC = MFD_ 0x10,
    }
    /// flock(2).
    bits Lock {
        SH = LOCK_ libc::LOCK_SH,
        EX = LOCK_ libc::LOCK_EX,
        NB = LOCK_ libc::LOCK_NB,
        UN = LOCK_ libc::LOCK_UN,
    }
    /// setitimer(2).
    one Timer {
        REAL = ITIMER_ libc::ITIMER_REAL,
    }
    /// prctl(2).
    one Prctl {
        SET_PDEATHSIG = PR_ libc::PR_SET_PDEATHSIG,
        SET_CHILD_SUBREAPER = PR_ libc::PR_SET_CHILD_SUBREAPER,
        CAPBSET_DROP = PR_ libc::PR_CAPBSET_DROP,
        SET_NO_NEW_PRIVS = PR_ libc::PR_SET_NO_NEW_PRIVS,
        GET_NO_NEW_PRIVS = PR_ libc::PR_GET_NO_NEW_PRIVS,
        SET_DUMPABLE = PR_ libc::PR_SET_DUMPABLE,
        SET_NAME = PR_ libc::PR_SET_NAME,
    }
    /// PR_SET_DUMPABLE of prctl(2).
    one Dumpable {
        DISABLE = SUID_DUMP_ 0,
    }
    /// keyctl(2).
    one KeyctlOperation {
        JOIN_SESSION_KEYRING = KEYCTL_ libc::KEYCTL_JOIN_SESSION_KEYRING,
    }
    /// seccomp(2): operations.
    one SeccompOperation {
        SET_MODE_FILTER = SECCOMP_ libc::SECCOMP_SET_MODE_FILTER,
        GET_ACTION_AVAIL = SECCOMP_ 2,
    }
    /// seccomp(2): flags of a filter.
    bits SeccompFlags {
        SPEC_ALLOW = SECCOMP_FILTER_FLAG_ libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    }
    /// ioctl(2).
    one Ioctl {
        TCGETS = bare libc::TCGETS,
        TCSETS = bare libc::TCSETS,
        TIOCGWINSZ = bare libc::TIOCGWINSZ,
        TIOCSWINSZ = bare libc::TIOCSWINSZ,
        TIOCSPTLCK = bare libc::TIOCSPTLCK,
        TIOCGPTPEER = bare libc::TIOCGPTPEER,
        TIOCSCTTY = bare libc::TIOCSCTTY,
        TIOCSPGRP = bare libc::TIOCSPGRP,
        TIOCGPGRP = bare libc::TIOCGPGRP,
        SIOCSIFFLAGS = bare libc::SIOCSIFFLAGS,
        SIOCGIFINDEX = bare libc::SIOCGIFINDEX,
        LOOP_CTL_GET_FREE = bare 0x4c82,
        /// Since Linux 5.8: the file and the flags in one call, so that there is no moment with only one of them.
        LOOP_CONFIGURE = bare 0x4c0a,
    }
    /// wait4(2), waitid(2).
    bits WaitOptions {
        NOHANG = W libc::WNOHANG,
        STOPPED = W libc::WSTOPPED,
        EXITED = W libc::WEXITED,
        NOWAIT = W libc::WNOWAIT,
    }
    /// waitid(2): whom to wait for.
    one IdType {
        PID = P_ libc::P_PID,
    }
    /// socket(2).
    one Domain {
        UNIX = AF_ libc::AF_UNIX,
        INET = AF_ libc::AF_INET,
        INET6 = AF_ libc::AF_INET6,
        NETLINK = AF_ libc::AF_NETLINK,
    }
    /// netlink(7).
    one NetlinkFamily {
        ROUTE = NETLINK_ libc::NETLINK_ROUTE,
        NETFILTER = NETLINK_ libc::NETLINK_NETFILTER,
    }
    /// socket(2), socketpair(2): a type and flags.
    bits Socket {
        SEQPACKET = SOCK_ libc::SOCK_SEQPACKET,
        STREAM = SOCK_ libc::SOCK_STREAM,
        DGRAM = SOCK_ libc::SOCK_DGRAM,
        NONBLOCK = SOCK_ libc::SOCK_NONBLOCK,
        CLOEXEC = SOCK_ libc::SOCK_CLOEXEC,
    }
    /// recvmsg(2), sendmsg(2).
    bits MessageFlags {
        CMSG_CLOEXEC = MSG_ libc::MSG_CMSG_CLOEXEC,
    }
    /// setsockopt(2): whose option it is.
    one SocketLevel {
        SOCKET = SOL_ libc::SOL_SOCKET,
        IP = SOL_ libc::SOL_IP,
        IPV6 = SOL_ libc::SOL_IPV6,
        TCP = SOL_ libc::SOL_TCP,
    }
    /// The options of all: their numbers differ.
    one SocketOption {
        REUSEADDR = SO_ libc::SO_REUSEADDR,
        KEEPALIVE = SO_ libc::SO_KEEPALIVE,
        LINGER = SO_ libc::SO_LINGER,
        ERROR = SO_ libc::SO_ERROR,
        PKTINFO = IP_ libc::IP_PKTINFO,
        V6ONLY = IPV6_ libc::IPV6_V6ONLY,
        RECVPKTINFO = IPV6_ libc::IPV6_RECVPKTINFO,
        INFO = TCP_ libc::TCP_INFO,
        NODELAY = TCP_ libc::TCP_NODELAY,
    }
    /// shutdown(2).
    one Shutdown {
        WR = SHUT_ libc::SHUT_WR,
    }
    /// splice(2).
    bits SpliceFlags {
        MOVE = SPLICE_F_ libc::SPLICE_F_MOVE,
        NONBLOCK = SPLICE_F_ libc::SPLICE_F_NONBLOCK,
    }
    /// epoll_ctl(2).
    one EpollOperation {
        ADD = EPOLL_CTL_ libc::EPOLL_CTL_ADD,
        DEL = EPOLL_CTL_ libc::EPOLL_CTL_DEL,
    }
    /// rt_sigprocmask(2).
    one How {
        SETMASK = SIG_ libc::SIG_SETMASK,
    }
    /// clock_gettime(2).
    one Clock {
        REALTIME = CLOCK_ libc::CLOCK_REALTIME,
        MONOTONIC = CLOCK_ libc::CLOCK_MONOTONIC,
    }
    /// getrusage(2).
    one Usage {
        CHILDREN = RUSAGE_ libc::RUSAGE_CHILDREN as u32,
    }
    /// getrlimit(2), in the kernel's order.
    numbered Resource {
        CPU = RLIMIT_ libc::RLIMIT_CPU,
        FSIZE = RLIMIT_ libc::RLIMIT_FSIZE,
        DATA = RLIMIT_ libc::RLIMIT_DATA,
        STACK = RLIMIT_ libc::RLIMIT_STACK,
        CORE = RLIMIT_ libc::RLIMIT_CORE,
        RSS = RLIMIT_ libc::RLIMIT_RSS,
        NPROC = RLIMIT_ libc::RLIMIT_NPROC,
        NOFILE = RLIMIT_ libc::RLIMIT_NOFILE,
        MEMLOCK = RLIMIT_ libc::RLIMIT_MEMLOCK,
        AS = RLIMIT_ libc::RLIMIT_AS,
        LOCKS = RLIMIT_ libc::RLIMIT_LOCKS,
        SIGPENDING = RLIMIT_ libc::RLIMIT_SIGPENDING,
        MSGQUEUE = RLIMIT_ libc::RLIMIT_MSGQUEUE,
        NICE = RLIMIT_ libc::RLIMIT_NICE,
        RTPRIO = RLIMIT_ libc::RLIMIT_RTPRIO,
        RTTIME = RLIMIT_ libc::RLIMIT_RTTIME,
    }
    /// signal(7).
    numbered SignalNumber {
        ZERO = unnamed 0,
        HUP = SIG libc::SIGHUP,
        INT = SIG libc::SIGINT,
        QUIT = SIG libc::SIGQUIT,
        ILL = SIG libc::SIGILL,
        TRAP = SIG libc::SIGTRAP,
        ABRT = SIG libc::SIGABRT,
        BUS = SIG libc::SIGBUS,
        FPE = SIG libc::SIGFPE,
        KILL = SIG libc::SIGKILL,
        USR1 = SIG libc::SIGUSR1,
        SEGV = SIG libc::SIGSEGV,
        USR2 = SIG libc::SIGUSR2,
        PIPE = SIG libc::SIGPIPE,
        ALRM = SIG libc::SIGALRM,
        TERM = SIG libc::SIGTERM,
        STKFLT = SIG libc::SIGSTKFLT,
        CHLD = SIG libc::SIGCHLD,
        CONT = SIG libc::SIGCONT,
        STOP = SIG libc::SIGSTOP,
        TSTP = SIG libc::SIGTSTP,
        TTIN = SIG libc::SIGTTIN,
        TTOU = SIG libc::SIGTTOU,
        URG = SIG libc::SIGURG,
        XCPU = SIG libc::SIGXCPU,
        XFSZ = SIG libc::SIGXFSZ,
        VTALRM = SIG libc::SIGVTALRM,
        PROF = SIG libc::SIGPROF,
        WINCH = SIG libc::SIGWINCH,
        IO = SIG libc::SIGIO,
        PWR = SIG libc::SIGPWR,
        SYS = SIG libc::SIGSYS,
    }
}

impl core::ops::BitAnd for MountFlags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl From<i32> for SignalNumber {
    fn from(number: i32) -> Self {
        Self(number as u64)
    }
}

impl SignalNumber {
    /// The signal with this number, or this name, in either case, with or without SIG; `RTMIN+3` is 37, as docker and systemd
    /// count.
    pub fn named(word: &[u8]) -> Option<i32> {
        if let Ok(number) = decimal(word) {
            return Some(number as i32).filter(|_| (1..=64).contains(&number));
        }
        let name = word.to_ascii_uppercase();
        let name = name.strip_prefix(b"SIG").unwrap_or(&name);
        let offset = |first: &[u8], sign: u8| match name.strip_prefix(first)? {
            [] => Some(0),
            [found, digits @ ..] if *found == sign => decimal(digits).ok().filter(|offset| *offset <= 30),
            _ => None,
        };
        if let Some(number) = offset(b"RTMIN", b'+').map(|up| 34 + up).or(offset(b"RTMAX", b'-').map(|down| 64 - down))
        {
            return Some(number as i32);
        }
        (1..=31).find(|number| {
            Self::NAMES.name_of(*number as u64).is_some_and(|known| known.as_bytes().get(3..) == Some(name))
        })
    }
}

impl Resource {
    /// The resource with this name, as docker writes it: `nofile`.
    pub fn named(name: &[u8]) -> Option<Resource> {
        let name = name.to_ascii_uppercase();
        let mut known = (0..).map_while(|value| Self::NAMES.name_of(value));
        known.position(|known| known.as_bytes().get(7..) == Some(&name)).map(|value| Resource(value as u64))
    }

    /// Its name as docker writes it.
    pub fn name(self) -> FixedBytes {
        let name = Self::NAMES.name_of(self.0).unwrap_or_default();
        FixedBytes::plain(&name.as_bytes().get(7..).unwrap_or_default().to_ascii_lowercase())
    }
}

/// A capability by its number: capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(pub u32);

impl Arg for Capability {
    const SHOW: &'static Show = &Show::Flags(Names::Numbered(&CAPABILITIES));
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// A set of signals as the kernel holds it: signal n is bit n - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = SigSet(0);

    /// Every signal whose disposition can be changed.
    pub const ALL: Self = SigSet(!SigSet::of(&[libc::SIGKILL, libc::SIGSTOP]).0);

    /// Exactly these signals.
    pub const fn of(signals: &[i32]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < signals.len() {
            bits |= 1 << (signals[at] - 1);
            at += 1;
        }
        SigSet(bits)
    }

    /// Whether `signal` is in it.
    pub fn has(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }

    /// These without `other`.
    pub const fn without(self, other: Self) -> Self {
        SigSet(self.0 & !other.0)
    }
}

/// The numbers of a set, ascending.
pub struct SignalNumbers(u64);

impl Iterator for SignalNumbers {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        let signal = self.0.trailing_zeros() as i32 + 1;
        // The lowest bit that is set is cleared.
        let rest = self.0.checked_sub(1)?;
        self.0 &= rest;
        Some(signal)
    }
}

impl IntoIterator for SigSet {
    type Item = i32;
    type IntoIter = SignalNumbers;

    fn into_iter(self) -> SignalNumbers {
        SignalNumbers(self.0)
    }
}

impl Object for SigSet {
    const PRINT: Option<Print> = Some(|bytes, out| {
        let set = SigSet(word(bytes, 0));
        // As strace(1): what is missing, where that is shorter.
        let many = set.0.count_ones() > 32;
        out.put(if many { b"~[" } else { b"[" });
        let mut separator: &[u8] = b"";
        for number in if many { SigSet(!set.0) } else { set } {
            out.put(separator);
            separator = b" ";
            match SignalNumber::NAMES.name_of(number as u64) {
                Some(name) => out.put(name.as_bytes().get(3..).unwrap_or_default()),
                None => out.put_hex(number as u64),
            }
        }
        out.put(b"]");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let print = |flags: MountFlags| String::from_utf8(flags.names().as_bytes().to_vec()).unwrap();
        assert_eq!(print(MountFlags::REC | MountFlags::SLAVE), "MS_REC|MS_SLAVE");
        assert_eq!(print(MountFlags::NONE), "0x0");
        assert_eq!(print(MountFlags(1 << 40) | MountFlags::NODEV), "MS_NODEV|0x10000000000");
        assert_eq!(Resource::named(b"nofile"), Some(Resource::NOFILE));
        assert_eq!(Resource::NOFILE.name().as_bytes(), b"nofile");
        assert_eq!(Resource::named(b"what"), None);
        assert_eq!(Resource::named(b""), None);
        let print = |flags: Prctl| String::from_utf8(flags.names().as_bytes().to_vec()).unwrap();
        assert_eq!(print(Prctl::CAPBSET_DROP), "PR_CAPBSET_DROP");
        assert_eq!(print(Prctl(1000)), "0x3e8");
    }

    #[test]
    fn signal_sets() {
        let set = SigSet::of(&[libc::SIGHUP, libc::SIGTERM, 64]);
        assert_eq!(set.into_iter().collect::<Vec<_>>(), [1, 15, 64]);
        assert!(!set.has(2) && !set.has(0) && !set.has(65));
        assert!(SigSet::ALL.has(64) && !SigSet::ALL.has(9));
    }
}
