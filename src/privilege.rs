//! What the command may do: capabilities, no_new_privs, and the seccomp filter. Sources: capabilities(7), seccomp(2).

use crate::error::{Error, Result};
use crate::says;
use crate::text;
use alloc::vec::Vec;

/// A set of capabilities: capability n is bit n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

/// The kernel's names, each at the place of its number.
static NAMES: &str = include_str!("capabilities");

impl Capabilities {
    /// As many as there may ever be.
    pub const ALL: Self = Capabilities(u64::MAX);

    /// docker's fourteen less CAP_MKNOD: docker guards that one with a cgroup of devices, and without one a loop device
    /// that was made inside reached the host's disk.
    pub const DEFAULT: Self = Capabilities(0xa004_25fb);

    /// Capability `number`.
    pub fn has(self, number: u32) -> bool {
        self.0.checked_shr(number).unwrap_or_default() & 1 == 1
    }

    /// Those of a name, in either case, with or without `CAP_`; or `ALL`.
    fn of(name: &[u8]) -> Option<Self> {
        let name = match name.split_at_checked(4) {
            Some((prefix, rest)) if same(prefix, b"CAP_") => rest,
            _ => name,
        };
        if same(name, b"ALL") {
            return Some(Self::ALL);
        }
        let number = text::words(NAMES.as_bytes()).position(|word| same(word, name))?;
        Some(Capabilities(1 << number))
    }
}

/// Whether they are the same, whatever the case of their letters. (That of slices is made for long ones.)
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// The words of the command line.
#[derive(Default)]
pub struct Words<'a> {
    /// `--privileged`
    pub privileged: bool,
    /// `--cap-add`
    pub add: &'a [&'a str],
    /// `--cap-drop`
    pub drop: &'a [&'a str],
    /// `--security-opt`
    pub options: &'a [&'a str],
}

/// What the command may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// What it keeps of mydocker's own capabilities.
    pub capabilities: Capabilities,
    /// Those of them that were asked for by name: without them nothing runs.
    pub asked: Capabilities,
    /// What it executes gives it nothing more (set-user-ID programs, file capabilities).
    pub no_new_privs: bool,
    /// The filter is loaded.
    pub filtered: bool,
    /// Its cgroup is the top of what it sees, and /sys cannot be written to.
    pub confined: bool,
}

impl Privilege {
    /// Reads the words, as docker does: `ALL` first, whatever the order.
    pub fn read(words: &Words) -> Result<Privilege> {
        let set = |names: &[&str]| {
            names.iter().try_fold((0, false), |(set, all), name| match Capabilities::of(name.as_bytes()) {
                Some(Capabilities::ALL) => Ok((set, true)),
                Some(one) => Ok((set | one.0, all)),
                None => Err(Error::usage(says!("unknown capability"), name.as_bytes())),
            })
        };
        let ((add, add_all), (drop, drop_all)) = (set(words.add)?, set(words.drop)?);
        // What is asked for both ways is dropped from all, and otherwise kept.
        let capabilities = match (add_all || words.privileged && !drop_all, drop_all) {
            (true, _) => !drop,
            (false, true) => add,
            (false, false) => Capabilities::DEFAULT.0 & !drop | add,
        };
        let mut privilege = Privilege {
            capabilities: Capabilities(capabilities),
            asked: Capabilities(add & capabilities),
            no_new_privs: !words.privileged,
            filtered: !words.privileged,
            confined: !words.privileged,
        };
        for option in words.options {
            match *option {
                "seccomp=unconfined" | "seccomp:unconfined" => privilege.filtered = false,
                "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true" => {
                    privilege.no_new_privs = true;
                }
                "no-new-privileges=false" | "no-new-privileges:false" => privilege.no_new_privs = false,
                other => {
                    let what = says!("--security-opt takes seccomp=unconfined or no-new-privileges=false");
                    return Err(Error::usage(what, other.as_bytes()));
                }
            }
        }
        Ok(privilege)
    }
}

/// The instructions that build.rs has made of `seccomp.policy`, eight bytes each.
static FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter"));

/// BPF_RET | BPF_K, and SECCOMP_RET_ALLOW.
const RETURN: u8 = 0x06;
const ALLOW: [u8; 4] = 0x7fff_0000u32.to_ne_bytes();

/// The filter for a command that keeps these capabilities. In an answer, where the kernel has no use for them, the third
/// and fourth byte name what turns it into "allowed": one more than a capability's number.
pub fn filter(kept: Capabilities) -> Vec<u8> {
    let mut filter = FILTER.to_vec();
    for instruction in filter.chunks_exact_mut(8) {
        if let [RETURN, _, one, other, answer @ ..] = instruction {
            if [*one, *other].iter().any(|plus_one| *plus_one > 0 && kept.has(u32::from(*plus_one) - 1)) {
                answer.copy_from_slice(&ALLOW);
            }
            (*one, *other) = (0, 0);
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(add: &[&str], drop: &[&str], privileged: bool) -> core::result::Result<u64, ()> {
        Privilege::read(&Words { privileged, add, drop, options: &[] })
            .map(|privilege| privilege.capabilities.0)
            .map_err(drop_error)
    }

    fn drop_error(_: Error) {}

    #[test]
    fn names_are_at_the_place_of_their_number() {
        for (name, number) in [
            ("CHOWN", 0),
            ("KILL", 5),
            ("SETPCAP", 8),
            ("NET_ADMIN", 12),
            ("SYS_MODULE", 16),
            ("SYS_ADMIN", 21),
            ("MKNOD", 27),
            ("SETFCAP", 31),
            ("SYSLOG", 34),
            ("BPF", 39),
            ("CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(Capabilities::of(name.as_bytes()), Some(Capabilities(1 << number)), "{name}");
        }
        assert_eq!(text::words(NAMES.as_bytes()).count(), 41);
    }

    #[test]
    fn the_default_is_dockers_less_mknod() {
        let docker = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ];
        let set = docker.iter().map(|name| Capabilities::of(name.as_bytes()).unwrap().0).fold(0, |a, b| a | b);
        assert_eq!(set, 0xa804_25fb);
        assert_eq!(Capabilities::DEFAULT.0, set & !(1 << 27));
    }

    #[test]
    fn what_is_added_and_dropped() {
        let default = Capabilities::DEFAULT.0;
        assert_eq!(read(&[], &[], false), Ok(default));
        assert_eq!(read(&["cap_sys_admin"], &["Chown"], false), Ok((default | 1 << 21) & !1));
        assert_eq!(read(&[], &["ALL"], false), Ok(0));
        assert_eq!(read(&["KILL"], &["all"], false), Ok(1 << 5));
        assert_eq!(read(&["all"], &["CAP_KILL"], false), Ok(!(1 << 5)));
        assert_eq!(read(&["ALL"], &["ALL"], false), Ok(u64::MAX));
        assert_eq!(read(&["KILL"], &["KILL"], false), Ok(default));
        assert_eq!(read(&[], &[], true), Ok(u64::MAX));
        assert_eq!(read(&[], &["KILL"], true), Ok(!(1 << 5)));
        assert_eq!(read(&[], &["ALL"], true), Ok(0));
        for bad in ["", "CAP_", "SYS_ADMI", "SYS_ADMIN ", "CHOWN KILL", "41", "*"] {
            assert_eq!(read(&[bad], &[], false), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn a_capability_opens_its_calls_and_no_others() {
        let answers = |kept| {
            let filter = filter(Capabilities(kept));
            let returns = filter.chunks_exact(8).filter(|i| i[0] == RETURN);
            returns.map(|i| (i[2], i[3], u32::from_ne_bytes([i[4], i[5], i[6], i[7]]))).collect::<Vec<_>>()
        };
        let (none, all, boot) = (answers(0), answers(u64::MAX), answers(1 << 22));
        assert!(none.iter().chain(&all).chain(&boot).all(|(one, other, _)| (*one, *other) == (0, 0)));
        let changed = |some: &[_]| none.iter().zip(some).filter(|(a, b)| a != b).count();
        assert_eq!(changed(&boot), 1);
        assert_eq!(changed(&all), 15);
    }
}
