//! Flag types, with the names that their man pages give them.

use crate::text::{self, Put, Text};

/// The names of a type's values, and the values. In `names` a blank follows each; first comes what all begin with, and
/// before that a `=` if a value has one name: else they are bits, and joined.
pub(super) struct Names {
    names: &'static str,
    values: &'static [u32],
}

macro_rules! flags {
    ($(#[$doc:meta])* $type:ident($prefix:literal) {
        $($(#[$note:meta])* $name:ident = $value:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $type(u64);

        #[allow(dead_code)]
        impl $type {
            $($(#[$note])* #[allow(missing_docs)] pub const $name: Self = Self($value as u64);)*

            /// No flag.
            pub const NONE: Self = Self(0);

            pub(super) const NAMES: Names = Names {
                names: concat!($prefix, " ", $(stringify!($name), " "),*),
                values: &[$($value as u32),*],
            };

            /// As the kernel takes them.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// As the kernel gives them.
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits)
            }

            /// Whether all of `other` is set.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// These without `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The names, joined by `|`; an unknown bit in hex.
            pub fn names(self) -> Text<200> {
                Self::NAMES.of(self.0)
            }
        }

        impl core::ops::BitOr for $type {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

impl CloneFlags {
    /// clone3 only: the child is born in the cgroup whose directory is given.
    pub const INTO_CGROUP: Self = Self(0x2_0000_0000);
}

impl Names {
    /// The names of `bits`, joined by `|`; an unknown bit in hex.
    #[inline(never)]
    pub(super) fn of(&self, bits: u64) -> Text<200> {
        let mut out = Text::new();
        let mut rest = bits;
        let mut joint: &[u8] = b"";
        let mut names = text::split(self.names.as_bytes(), b' ');
        let first = names.next().unwrap_or_default();
        let (exact, prefix) = first.strip_prefix(b"=").map_or((false, first), |prefix| (true, prefix));
        for (value, name) in self.values.iter().zip(names) {
            let value = u64::from(*value);
            if if exact { value == bits && joint.is_empty() } else { value != 0 && rest & value == value } {
                out.put(joint);
                out.put(if name.starts_with(b"SIG") { b"" } else { prefix });
                out.put(name);
                rest &= !value;
                joint = b"|";
            }
        }
        if rest != 0 || joint.is_empty() {
            out.put(joint);
            out.put_hex(rest);
        }
        out
    }
}

flags! {
    /// clone(2): which namespaces are new.
    CloneFlags("CLONE_") {
        NEWNS = libc::CLONE_NEWNS,
        NEWUTS = libc::CLONE_NEWUTS,
        NEWIPC = libc::CLONE_NEWIPC,
        NEWPID = libc::CLONE_NEWPID,
        NEWNET = libc::CLONE_NEWNET,
        NEWUSER = libc::CLONE_NEWUSER,
        NEWCGROUP = libc::CLONE_NEWCGROUP,
        /// The low byte: what the parent gets at the end.
        SIGCHLD = libc::SIGCHLD,
    }
}

flags! {
    /// mount(2).
    MountFlags("MS_") {
        NOSUID = libc::MS_NOSUID,
        NODEV = libc::MS_NODEV,
        NOEXEC = libc::MS_NOEXEC,
        RDONLY = libc::MS_RDONLY,
        REMOUNT = libc::MS_REMOUNT,
        BIND = libc::MS_BIND,
        MOVE = libc::MS_MOVE,
        NOATIME = libc::MS_NOATIME,
        NODIRATIME = libc::MS_NODIRATIME,
        RELATIME = libc::MS_RELATIME,
        REC = libc::MS_REC,
        SLAVE = libc::MS_SLAVE,
    }
}

flags! {
    /// open(2). Reading only is the kernel's zero.
    OpenFlags("O_") {
        WRONLY = libc::O_WRONLY,
        RDWR = libc::O_RDWR,
        CREAT = libc::O_CREAT,
        EXCL = libc::O_EXCL,
        TRUNC = libc::O_TRUNC,
        DIRECTORY = libc::O_DIRECTORY,
        PATH = libc::O_PATH,
        CLOEXEC = libc::O_CLOEXEC,
        NOCTTY = libc::O_NOCTTY,
        NONBLOCK = libc::O_NONBLOCK,
    }
}

flags! {
    /// close_range(2).
    CloseRangeFlags("CLOSE_RANGE_") {
        CLOEXEC = libc::CLOSE_RANGE_CLOEXEC,
    }
}

flags! {
    /// mmap(2), mprotect(2).
    Prot("PROT_") {
        READ = libc::PROT_READ,
        WRITE = libc::PROT_WRITE,
        EXEC = libc::PROT_EXEC,
    }
}

flags! {
    /// mmap(2).
    MapFlags("MAP_") {
        PRIVATE = libc::MAP_PRIVATE,
        SHARED = libc::MAP_SHARED,
        ANONYMOUS = libc::MAP_ANONYMOUS,
        NORESERVE = libc::MAP_NORESERVE,
        STACK = libc::MAP_STACK,
    }
}

flags! {
    /// The `*at` calls.
    AtFlags("AT_") {
        REMOVEDIR = libc::AT_REMOVEDIR,
        SYMLINK_NOFOLLOW = libc::AT_SYMLINK_NOFOLLOW,
        EMPTY_PATH = libc::AT_EMPTY_PATH,
        RECURSIVE = 0x8000,
    }
}

flags! {
    /// access(2).
    Access("=") {
        F_OK = libc::F_OK,
        X_OK = libc::X_OK,
    }
}

flags! {
    /// flock(2).
    Lock("LOCK_") {
        EX = libc::LOCK_EX,
        NB = libc::LOCK_NB,
    }
}

flags! {
    /// prctl(2).
    Prctl("=PR_") {
        SET_PDEATHSIG = libc::PR_SET_PDEATHSIG,
        SET_CHILD_SUBREAPER = libc::PR_SET_CHILD_SUBREAPER,
        CAPBSET_DROP = libc::PR_CAPBSET_DROP,
        SET_NO_NEW_PRIVS = libc::PR_SET_NO_NEW_PRIVS,
        GET_NO_NEW_PRIVS = libc::PR_GET_NO_NEW_PRIVS,
        SET_DUMPABLE = libc::PR_SET_DUMPABLE,
    }
}

flags! {
    /// ioctl(2).
    Ioctl("=") {
        TCGETS = libc::TCGETS,
        TCSETS = libc::TCSETS,
        TIOCGWINSZ = libc::TIOCGWINSZ,
        TIOCSWINSZ = libc::TIOCSWINSZ,
        TIOCSPTLCK = libc::TIOCSPTLCK,
        TIOCGPTPEER = libc::TIOCGPTPEER,
        TIOCSCTTY = libc::TIOCSCTTY,
        TIOCSPGRP = libc::TIOCSPGRP,
        TIOCGPGRP = libc::TIOCGPGRP,
        SIOCSIFFLAGS = libc::SIOCSIFFLAGS,
        LOOP_CTL_GET_FREE = 0x4c82,
        /// Since Linux 5.8: file and flags in one call, so that there is no moment with the one and without the other.
        LOOP_CONFIGURE = 0x4c0a,
    }
}

flags! {
    /// wait4(2).
    WaitOptions("W") {
        NOHANG = libc::WNOHANG,
    }
}

flags! {
    /// socket(2), socketpair(2): a type and flags.
    Socket("SOCK_") {
        SEQPACKET = libc::SOCK_SEQPACKET,
        DGRAM = libc::SOCK_DGRAM,
        CLOEXEC = libc::SOCK_CLOEXEC,
    }
}

flags! {
    /// rt_sigprocmask(2).
    How("=SIG_") {
        SETMASK = libc::SIG_SETMASK,
    }
}

flags! {
    /// signal(7).
    SignalNumber("=SIG") {
        HUP = libc::SIGHUP,
        INT = libc::SIGINT,
        QUIT = libc::SIGQUIT,
        KILL = libc::SIGKILL,
        USR1 = libc::SIGUSR1,
        USR2 = libc::SIGUSR2,
        PIPE = libc::SIGPIPE,
        TERM = libc::SIGTERM,
        CHLD = libc::SIGCHLD,
        CONT = libc::SIGCONT,
        STOP = libc::SIGSTOP,
        TSTP = libc::SIGTSTP,
        TTIN = libc::SIGTTIN,
        TTOU = libc::SIGTTOU,
        WINCH = libc::SIGWINCH,
    }
}

/// Every type, in the order of the kinds of arguments that the gate gives them.
macro_rules! kinds {
    ($($type:ident),*) => {
        #[allow(dead_code, clippy::upper_case_acronyms)]
        enum Place {
            $($type),*
        }

        /// Their names.
        pub(super) static NAMES: &[&Names] = &[$(&$type::NAMES),*];

        $(impl super::gate::Arg for $type {
            const KIND: u8 = super::gate::NAMED + Place::$type as u8;
            fn reg(&self) -> usize {
                self.0 as usize
            }
        })*
    };
}

kinds!(
    CloneFlags,
    MountFlags,
    OpenFlags,
    CloseRangeFlags,
    Prot,
    MapFlags,
    AtFlags,
    Access,
    Lock,
    Prctl,
    Ioctl,
    WaitOptions,
    Socket,
    How,
    SignalNumber
);

/// A set of signals as the kernel holds it: signal n is bit n - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = SigSet(0);

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

    /// These and `signal`.
    pub fn with(self, signal: i32) -> Self {
        SigSet(self.0 | SigSet::of(&[signal]).0)
    }

    /// Every signal whose disposition can be set.
    pub const fn all() -> Self {
        SigSet(!SigSet::of(&[libc::SIGKILL, libc::SIGSTOP]).0)
    }

    /// These without `other`.
    pub const fn without(self, other: Self) -> Self {
        SigSet(self.0 & !other.0)
    }

    /// The numbers in it, ascending.
    pub fn numbers(self) -> impl Iterator<Item = i32> {
        (1..65).filter(move |&signal| self.has(signal))
    }
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
    }

    #[test]
    fn signal_sets() {
        let set = SigSet::of(&[libc::SIGHUP, libc::SIGTERM, 64]);
        assert_eq!(set.numbers().collect::<Vec<_>>(), [1, 15, 64]);
        assert!(!set.has(2) && !set.has(0) && !set.has(65));
        assert!(SigSet::all().has(64) && !SigSet::all().has(9) && SigSet::EMPTY.with(3).has(3));
    }
}
