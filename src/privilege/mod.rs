//! What the command may do: capabilities, no_new_privs, and the seccomp filter. Sources: capabilities(7), seccomp(2).

#[cfg(test)]
mod seccomp;

use crate::bytes::Put;
use crate::capabilities::CAPABILITIES;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::spec::{Capabilities, Privilege};
use crate::step::{Child, ChildStep};
use crate::sys::{self, Capability};
use alloc::vec::Vec;
use syscalls::Sysno;

/// docker's fourteen less CAP_MKNOD: docker guards that one with a cgroup of devices, and without one a loop device that was
/// made inside reached the host's disk.
const DEFAULT: Capabilities = Capabilities(0xa004_25fb);

/// The capabilities of a name, in either case, with or without `CAP_`; or `ALL`.
fn named(name: &[u8]) -> Option<Capabilities> {
    let name = name.to_ascii_uppercase();
    let short = name.strip_prefix(&b"CAP_"[..]).unwrap_or(&name);
    if short == b"ALL" {
        return Some(Capabilities::ALL);
    }
    let number = CAPABILITIES.iter().position(|known| known.as_bytes().get(4..) == Some(short))?;
    Some(Capabilities(1 << number))
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

/// Reads the words, as docker does: `ALL` first, whatever the order.
pub fn read(words: &Words) -> Result<Privilege> {
    // The capabilities that are named, and whether `ALL` is among the names.
    let set = |names: &[&str]| -> Result<(u64, bool)> {
        let (mut set, mut all) = (0, false);
        for name in names {
            match named(name.as_bytes()) {
                Some(Capabilities::ALL) => all = true,
                Some(one) => set |= one.0,
                None => {
                    return Err(Error::usage("unknown capability", name.as_bytes())
                        .with_hint("capabilities(7) lists them, and each takes an option of its own"));
                }
            }
        }
        Ok((set, all))
    };
    let ((add, add_all), (drop, drop_all)) = (set(words.add)?, set(words.drop)?);
    // A capability that is both added and dropped is dropped if ALL were added, and kept otherwise.
    let capabilities = match (add_all || words.privileged && !drop_all, drop_all) {
        (true, _) => !drop,
        (false, true) => add,
        (false, false) => DEFAULT.0 & !drop | add,
    };
    let mut privilege = Privilege {
        capabilities: Capabilities(capabilities),
        explicit: Capabilities(add & capabilities),
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
            other if other.starts_with("systempaths") => {
                return Err(Error::usage("only --privileged shows what is masked in /proc and /sys", other.as_bytes()));
            }
            other if ["apparmor", "label"].iter().any(|kind| other.starts_with(kind)) => {
                return Err(Error::usage(
                    "--security-opt sets no profile and no label here: leave it out",
                    other.as_bytes(),
                ));
            }
            other => {
                let what = "--security-opt takes seccomp=unconfined or no-new-privileges=false";
                return Err(Error::usage(what, other.as_bytes()));
            }
        }
    }
    Ok(privilege)
}

/// The instructions that build.rs has made of `seccomp.policy`, eight bytes each.
static FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter"));

/// BPF_RET | BPF_K, and SECCOMP_RET_ALLOW.
const RETURN: u8 = 0x06;
const ALLOW: [u8; 4] = 0x7fff_0000u32.to_ne_bytes();

/// The filter for a command that keeps these capabilities. The kernel ignores the third and fourth byte of an answer: there
/// build.rs has put the numbers, plus one, of capabilities that turn it into "allowed".
pub fn filter(kept: Capabilities) -> Vec<u8> {
    let mut filter = FILTER.to_vec();
    for instruction in filter.chunks_exact_mut(8) {
        if let [RETURN, _, one, other, answer @ ..] = instruction {
            if [*one, *other].iter().any(|plus_one| *plus_one > 0 && kept.0 >> (*plus_one - 1) & 1 == 1) {
                answer.copy_from_slice(&ALLOW);
            }
            (*one, *other) = (0, 0);
        }
    }
    filter
}

/// AUDIT_ARCH_* of <linux/audit.h>.
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;

/// The filter of a process that makes these calls alone, the most frequent first, socket(2) for IPv4 and IPv6 (by a path in a
/// Unix socket it would reach this host), and setsockopt(2) for the two options that it sets. Everything else is EPERM. Source:
/// seccomp(2).
pub fn only(calls: &[Sysno]) -> Vec<u8> {
    // BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K. Offsets in struct seccomp_data.
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const END: u16 = RETURN as u16;
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const DOMAIN: u32 = 16;
    const OPTION: u32 = 16 + 2 * 8;
    // SECCOMP_RET_KILL_PROCESS, and SECCOMP_RET_ERRNO with EPERM.
    const KILL: u32 = 0x8000_0000;
    const EPERM: u32 = 0x0005_0001;
    let mut filter = Vec::with_capacity(8 * (calls.len() + 17));
    // What to do, how many of the next ones to leave out if it holds, and if not, and the operand.
    let mut put = |code: u16, yes: usize, no: u8, operand: u32| {
        filter.put(&code.to_ne_bytes());
        filter.put(&[yes as u8, no]);
        filter.put(&operand.to_ne_bytes());
    };
    put(LOAD, 0, 0, ARCHITECTURE);
    put(EQUAL, 1, 0, MACHINE);
    put(END, 0, 0, KILL);
    put(LOAD, 0, 0, NUMBER);
    // Behind the calls come these eleven, and then the word that allows.
    for (call, after) in calls.iter().zip((0..calls.len()).rev()) {
        put(EQUAL, after + 11, 0, call.id() as u32);
    }
    put(EQUAL, 2, 0, Sysno::socket.id() as u32);
    put(EQUAL, 5, 0, Sysno::setsockopt.id() as u32);
    put(END, 0, 0, EPERM);
    put(LOAD, 0, 0, DOMAIN);
    put(EQUAL, 6, 0, libc::AF_INET as u32);
    put(EQUAL, 5, 0, libc::AF_INET6 as u32);
    put(END, 0, 0, EPERM);
    put(LOAD, 0, 0, OPTION);
    put(EQUAL, 2, 0, libc::SO_LINGER as u32);
    put(EQUAL, 1, 0, libc::TCP_NODELAY as u32);
    put(END, 0, 0, EPERM);
    put(END, 0, 0, u32::from_ne_bytes(ALLOW));
    filter
}

/// The steps that confine a command. Each is `None` where it is not confined so.
pub struct Confinement {
    /// Before the command comes.
    pub drop_bounding_set: Option<DropBoundingSet>,
    /// After it has become its user.
    pub set_capabilities: Option<SetCapabilities>,
    /// With no_new_privs the last; without it the filter needs CAP_SYS_ADMIN (seccomp(2)), and so comes before the others.
    pub load_filter: Option<LoadFilter>,
}

impl Confinement {
    /// What of mydocker's own privilege the child has, and the command is not to have.
    pub fn new(privilege: &Privilege, host: &Host, in_userns: bool) -> Confinement {
        let kept = privilege.capabilities;
        let (mut bounding, mut permitted) = (host.status.bounding.0, host.status.permitted.0);
        if in_userns {
            // The first process of a user namespace has all that this kernel knows: at least those that have a name here, and
            // as many as the highest one in the bounding set of the caller says.
            let known = (u64::BITS - bounding.leading_zeros()).max(CAPABILITIES.len() as u32);
            bounding = u64::MAX >> (u64::BITS - known);
            permitted = bounding;
        }
        let is_limited = kept != Capabilities::ALL;
        let inherits = privilege.confined && host.status.inheritable.0 != 0;
        Confinement {
            drop_bounding_set: is_limited.then_some(DropBoundingSet { dropped: Capabilities(bounding & !kept.0) }),
            // Those that were asked for by name are kept whether mydocker has them or not: without them nothing runs.
            set_capabilities: (is_limited || inherits)
                .then_some(SetCapabilities { kept: Capabilities(kept.0 & permitted | privilege.explicit.0) }),
            load_filter: privilege.filtered.then(|| LoadFilter { instructions: filter(kept) }),
        }
    }
}

step! {
    /// Drops what no program in the container is to have.
    pub struct DropBoundingSet {
        /// What to drop.
        pub dropped: Capabilities,
    }
}

impl ChildStep for DropBoundingSet {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        // One call for each: no call drops several (capabilities(7)).
        for number in 0..u64::BITS {
            if self.dropped.0 >> number & 1 == 1 && !sys::drop_from_bounding_set(Capability(number))? {
                // This kernel does not know this capability, nor any with a higher number.
                break;
            }
        }
        Ok(())
    }
}

step! {
    /// Keeps the capabilities that the command is to have.
    pub struct SetCapabilities {
        /// Which, for a command that runs as root.
        pub kept: Capabilities,
    }
}

impl ChildStep for SetCapabilities {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // A process that has changed its user id from 0 to another one has none left (capabilities(7)).
        sys::capset(if child.user.uid == 0 { self.kept.0 } else { 0 })
    }
}

step! {
    /// Lets execve give no privilege.
    pub struct SetNoNewPrivileges;
}

impl ChildStep for SetNoNewPrivileges {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_no_new_privs()
    }
}

step! {
    /// Makes a new session keyring: that of the caller has its keys (session-keyring(7)).
    ///
    /// With the filter nobody inside can ask for a key.
    pub struct JoinSessionKeyring;
}

impl ChildStep for JoinSessionKeyring {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::join_session_keyring()
    }
}

step! {
    /// Loads the filter of system calls.
    pub struct LoadFilter {
        /// Its instructions, of eight bytes each.
        pub instructions: Vec<u8>,
    }
}

impl ChildStep for LoadFilter {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::load_filter(&self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::read as read_words;
    use super::*;

    fn read(add: &[&str], drop: &[&str], privileged: bool) -> core::result::Result<u64, ()> {
        read_words(&Words { privileged, add, drop, options: &[] })
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
            assert_eq!(named(name.as_bytes()), Some(Capabilities(1 << number)), "{name}");
        }
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
        let set = docker.iter().map(|name| named(name.as_bytes()).unwrap().0).fold(0, |a, b| a | b);
        assert_eq!(set, 0xa804_25fb);
        assert_eq!(DEFAULT.0, set & !(1 << 27));
    }

    #[test]
    fn what_is_added_and_dropped() {
        let default = DEFAULT.0;
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
        assert_eq!(changed(&all), 16);
    }
}
