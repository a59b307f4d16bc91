//! Flag types, with the names that their man pages give them.

use crate::text::Put;

macro_rules! flags {
    ($(#[$doc:meta])* $type:ident($prefix:literal) { $($(#[$note:meta])* $name:ident = $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $type(u64);

        impl $type {
            $($(#[$note])* #[allow(missing_docs)] pub const $name: Self = Self($value as u64);)*

            /// No flag.
            pub const NONE: Self = Self(0);

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

            /// Puts the names, joined by `|`; an unknown bit in hex.
            pub fn print(self, out: &mut impl Put) {
                const NAMES: &[(u64, &str)] = &[$((<$type>::$name.0, stringify!($name))),*];
                print(out, self.0, $prefix, NAMES);
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

fn print(out: &mut impl Put, bits: u64, prefix: &[u8], names: &[(u64, &str)]) {
    let mut rest = bits;
    let mut joint: &[u8] = b"";
    for (value, name) in names {
        if *value != 0 && rest & value == *value {
            out.put(joint);
            out.put(prefix);
            out.put(name.as_bytes());
            rest &= !value;
            joint = b"|";
        }
    }
    if rest != 0 || bits == 0 {
        out.put(joint);
        out.put_hex(rest);
    }
}

flags! {
    /// clone(2): which namespaces are new.
    CloneFlags(b"CLONE_") {
        NEWNS = libc::CLONE_NEWNS,
        NEWUTS = libc::CLONE_NEWUTS,
        NEWIPC = libc::CLONE_NEWIPC,
        NEWPID = libc::CLONE_NEWPID,
        NEWNET = libc::CLONE_NEWNET,
        NEWUSER = libc::CLONE_NEWUSER,
        NEWCGROUP = libc::CLONE_NEWCGROUP,
        /// clone3 only: the child is born in the cgroup whose directory is given.
        INTO_CGROUP = 0x2_0000_0000u64,
    }
}

flags! {
    /// mount(2).
    MountFlags(b"MS_") {
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
    OpenFlags(b"O_") {
        WRONLY = libc::O_WRONLY,
        RDWR = libc::O_RDWR,
        CREAT = libc::O_CREAT,
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
    CloseRangeFlags(b"CLOSE_RANGE_") {
        CLOEXEC = libc::CLOSE_RANGE_CLOEXEC,
    }
}

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
        (1..=64).filter(move |&signal| self.has(signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let print = |flags: MountFlags| {
            let mut out = Vec::new();
            flags.print(&mut out);
            String::from_utf8(out).unwrap()
        };
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
