//! What a case needs of the host, and whether this host offers it.

use crate::support::host::{host, tool};
use crate::support::notes::note;
use std::ops::BitOr;
use std::process::Command;
use std::sync::OnceLock;

/// A set of needs; `Needs::ROOT | Needs::MEMORY`.
#[derive(Clone, Copy)]
pub struct Needs(u64);

/// Gives each need a bit of its own.
macro_rules! numbered_needs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Number {
            $($name,)*
        }
        impl Needs {
            $($(#[$doc])* pub const $name: Needs = Needs(1 << Number::$name as u32);)*
        }
    };
}

numbered_needs! {
    /// This process can make namespaces and cgroups.
    ROOT,
    MEMORY,
    CPU,
    CPUSET,
    PIDS,
    /// The kernel accounts swap.
    SWAP,
    /// The cgroups are mounted, so that a command can see its own.
    MOUNTED,
    /// The caller may use at least the CPUs 0 and 1.
    TWO_CPUS,
    /// CPU shares are those of v1, which the kernel clamps.
    CPU_ON_V1,
    /// The memory controller is on v1, where a cgroup can hold both processes and children.
    MEMORY_ON_V1,
    MEMORY_ON_V2,
    /// The pids controller is on v1.
    PIDS_ON_V1,
    /// A container can be paused: the memory controller is on v2, or the freezer of v1 is mounted.
    FREEZER,
    SH,
    LS,
    /// A pseudo-terminal can be opened.
    TERMINAL,
    /// Our own cgroup can have children (on v2, only the root can if it holds processes).
    GROUP_BELOW,
    SLEEP,
    TMUX,
    BASH,
    STTY,
    LESS,
    VI,
    /// The top of procps.
    TOP,
    PGREP,
    PSTREE,
    NSENTER,
    TIMEOUT,
    /// The tests run on the host's console: nobody else is disturbed there.
    CONSOLE,
    /// The root is not the initramfs, which pivot_root cannot move.
    NO_INITRAMFS,
    /// The host is a virtual one of tests/vm, where nothing can be lost.
    VIRTUAL_HOST,
    #[allow(dead_code, reason = "tests/failures makes an image of its own")]
    MKSQUASHFS,
    /// An image of this kind exists, or can be made.
    SQUASHFS_IMAGE,
    EROFS_IMAGE,
    EXT4_IMAGE,
    BUSYBOX,
    /// Loop devices are available.
    LOOP,
    /// The kernel supports overlay.
    OVERLAY,
    /// The host has an /etc/resolv.conf.
    RESOLV_CONF,
    /// The host has the files of the time zones.
    ZONES,
    /// The kernel has bridges, pairs of interfaces and packet filters.
    BRIDGE,
    /// nft(8), which makes a packet filter.
    NFT,
    /// The tools that a script calls for a bridge, beside nft(8): ip(8) is that of iproute2.
    BRIDGE_TOOLS,
    /// slirp4netns is installed, and a tap device can be made.
    SLIRP4NETNS,
    /// pasta is installed, and a tap device can be made.
    PASTA,
    /// A Debian root exists from an earlier run, or can be made.
    DEBIAN,
    STRACE,
    /// The tools that a script of --dry-run=sh calls: unshare, setpriv and prlimit of util-linux; keyctl, ip, hostname.
    SCRIPT_TOOLS,
    /// Namespaces can be made: as root, or in a user namespace.
    NAMESPACES,
    PYTHON,
    PERL,
    CC,
    /// An ordinary user can make a user namespace.
    USER_NAMESPACES,
    /// No user namespace can be made on this host, and we are not root.
    USER_NAMESPACES_FORBIDDEN,
    NEWUIDMAP,
    ZSH,
    FISH,
    GROFF,
    MANDOC,
    /// A filesystem of a process can be mounted.
    FUSE,
    /// The source that the tests were built from is on this host.
    SOURCE,
}

impl Needs {
    pub const NOTHING: Needs = Needs(0);

    /// Both, for constants, in which `|` cannot be used.
    pub const fn and(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }

    fn has(self, need: Needs) -> bool {
        self.0 & need.0 != 0
    }

    /// Why the case cannot run here, if it cannot. Each need is looked at once: some take as long as a case.
    pub fn missing(self) -> Option<String> {
        static MISSING: [OnceLock<Option<String>>; 64] = [const { OnceLock::new() }; 64];
        let own = (0..64).filter(|number| self.0 >> number & 1 == 1);
        own.filter_map(|number| MISSING[number].get_or_init(|| Needs(1 << number).look()).clone()).next()
    }

    /// Why this need alone is not met, if it is not.
    fn look(self) -> Option<String> {
        if self.has(Needs::ROOT) && !host().root {
            return Some("needs root with CAP_SYS_ADMIN".into());
        }
        if self.has(Needs::NAMESPACES) && !host().root && !host().user_namespaces {
            return Some("needs root, or user namespaces for ordinary users".into());
        }
        for (need, controller) in [
            (Needs::MEMORY, "memory"),
            (Needs::CPU, "cpu"),
            (Needs::CPUSET, "cpuset"),
            (Needs::PIDS, "pids"),
            (Needs::SWAP, "memory"),
            (Needs::TWO_CPUS, "cpuset"),
            (Needs::CPU_ON_V1, "cpu"),
            (Needs::MEMORY_ON_V1, "memory"),
            (Needs::MEMORY_ON_V2, "memory"),
            (Needs::PIDS_ON_V1, "pids"),
        ] {
            if self.has(need) && host().carrier(controller).is_none() {
                return Some(format!("no cgroup hierarchy here carries {controller}"));
            }
            if self.has(need) && !host().root && !host().may_make_groups(controller) {
                return Some("needs root, or a delegated cgroup".into());
            }
        }
        for (need, name) in [
            (Needs::SH, "sh"),
            (Needs::LS, "ls"),
            (Needs::SLEEP, "sleep"),
            (Needs::TMUX, "tmux"),
            (Needs::BASH, "bash"),
            (Needs::STTY, "stty"),
            (Needs::LESS, "less"),
            (Needs::VI, "vi"),
            (Needs::TOP, "top"),
            (Needs::PGREP, "pgrep"),
            (Needs::PSTREE, "pstree"),
            (Needs::NSENTER, "nsenter"),
            (Needs::TIMEOUT, "timeout"),
            (Needs::MKSQUASHFS, "mksquashfs"),
            (Needs::BUSYBOX, "busybox"),
            (Needs::STRACE, "strace"),
            (Needs::NFT, "nft"),
            (Needs::SLIRP4NETNS, "slirp4netns"),
            (Needs::PASTA, "pasta"),
            (Needs::ZSH, "zsh"),
            (Needs::FISH, "fish"),
            (Needs::GROFF, "groff"),
            (Needs::MANDOC, "mandoc"),
            (Needs::SCRIPT_TOOLS, "ip"),
            (Needs::SCRIPT_TOOLS, "hostname"),
            (Needs::SCRIPT_TOOLS, "prlimit"),
            (Needs::SCRIPT_TOOLS, "keyctl"),
            (Needs::SCRIPT_TOOLS, "setsid"),
            (Needs::BRIDGE_TOOLS, "nsenter"),
            (Needs::BRIDGE_TOOLS, "flock"),
            (Needs::PYTHON, "python3"),
            (Needs::PERL, "perl"),
            (Needs::CC, "cc"),
            (Needs::NEWUIDMAP, "newuidmap"),
        ] {
            if self.has(need) && tool(name).is_none() {
                return Some(format!("no {name} in PATH"));
            }
        }
        let others = [
            (Needs::SWAP, accounts_swap as fn() -> bool, "this kernel does not account swap"),
            (Needs::LOOP, has_loops, "no loop devices"),
            (Needs::SQUASHFS_IMAGE, || has_image("squashfs", "mksquashfs"), "no mksquashfs in PATH"),
            (Needs::EROFS_IMAGE, || has_image("erofs", "mkfs.erofs"), "no mkfs.erofs in PATH"),
            (Needs::EXT4_IMAGE, || has_image("ext4", "mkfs.ext4"), "no mkfs.ext4 in PATH"),
            (Needs::FUSE, || std::path::Path::new("/dev/fuse").exists(), "no /dev/fuse"),
            (Needs::NO_INITRAMFS, || !root_is_initramfs(), "the root is the initramfs"),
            (Needs::VIRTUAL_HOST, is_virtual_host, "this is not a virtual host of tests/vm"),
            (Needs::OVERLAY, has_overlay, "this kernel has no overlay"),
            (Needs::RESOLV_CONF, || std::path::Path::new("/etc/resolv.conf").exists(), "no /etc/resolv.conf here"),
            (Needs::ZONES, || std::path::Path::new("/usr/share/zoneinfo/Europe/Paris").exists(), "no time zones here"),
            (Needs::BRIDGE, has_bridges, "this kernel has no bridge, veth and nf_tables"),
            (
                Needs::SLIRP4NETNS.and(Needs::PASTA),
                || std::path::Path::new("/dev/net/tun").exists(),
                "no /dev/net/tun here",
            ),
            (Needs::DEBIAN, has_debian, "neither debootstrap nor a Debian root of an earlier run"),
            (Needs::BRIDGE_TOOLS, has_iproute2, "no ip of iproute2"),
            (Needs::SCRIPT_TOOLS, has_util_linux, "no unshare and setpriv of util-linux"),
            (Needs::USER_NAMESPACES, || host().user_namespaces, "no user namespace can be made here"),
            (Needs::USER_NAMESPACES_FORBIDDEN, user_namespaces_forbidden, "user.max_user_namespaces is not 0"),
            (Needs::MOUNTED, || host().mounted, "no cgroup is mounted"),
            (Needs::TWO_CPUS, has_cpus_0_and_1, "this process may not use both CPU 0 and CPU 1"),
            (Needs::CPU_ON_V1, || !on_v2("cpu"), "the cpu controller is on v2 here"),
            (Needs::MEMORY_ON_V1, || !on_v2("memory"), "the memory controller is on v2 here"),
            (Needs::PIDS_ON_V1, || !on_v2("pids"), "the pids controller is on v2 here"),
            (Needs::FREEZER, || on_v2("memory") || host().carrier("freezer").is_some(), "no freezer is mounted"),
            (Needs::MEMORY_ON_V2, || on_v2("memory"), "the memory controller is on v1 here"),
            (
                Needs::SOURCE,
                || std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).exists(),
                "the source is not here",
            ),
            (Needs::CONSOLE, is_on_console, "the tests do not run on the host's console"),
            (Needs::TERMINAL, has_terminals, "no pseudo-terminal can be opened"),
            (Needs::GROUP_BELOW, can_nest, "our own v2 cgroup holds processes and cannot have children"),
        ];
        others.iter().find(|(need, there, _)| self.has(*need) && !there()).map(|(_, _, reason)| reason.to_string())
    }
}

impl BitOr for Needs {
    type Output = Needs;
    fn bitor(self, other: Needs) -> Needs {
        self.and(other)
    }
}

pub fn on_v2(controller: &str) -> bool {
    host().carrier(controller).is_some_and(|hierarchy| hierarchy.v2)
}

fn has_util_linux() -> bool {
    ["unshare", "setpriv"].iter().all(|tool| {
        let version = std::process::Command::new(tool).arg("--version").output();
        version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"))
    })
}

/// A module that is built in, or that the kernel finds when it is needed.
fn has_bridges() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let folder = std::path::PathBuf::from(format!("/lib/modules/{release}"));
    let lists =
        ["modules.builtin", "modules.dep"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap_or_default());
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    [("bridge", "br_dev_setup"), ("veth", "veth_setup"), ("nf_tables", "nf_tables_newtable")].iter().all(
        |(module, symbol)| lists.iter().any(|list| list.contains(&format!("/{module}.ko"))) || symbols.contains(symbol),
    )
}

fn has_iproute2() -> bool {
    let said = tool("ip").and_then(|ip| std::process::Command::new(ip).arg("-V").output().ok());
    said.is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains("iproute2"))
}

fn accounts_swap() -> bool {
    let Some(hierarchy) = host().carrier("memory") else { return false };
    if !hierarchy.v2 {
        return hierarchy.point.join("memory.memsw.limit_in_bytes").exists();
    }
    // On v2 the root cgroup has no such file; every other one has it, unless the kernel's command line forbids it.
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    std::path::Path::new("/proc/swaps").exists() && !command_line.contains("swapaccount=0")
}

fn has_cpus_0_and_1() -> bool {
    let set = rustix::thread::sched_getaffinity(None).expect("sched_getaffinity");
    set.is_set(0) && set.is_set(1)
}

/// Whether an ordinary user who runs the tests has more ids than one: newuidmap is installed, and /etc/subuid names them.
pub fn has_range_of_ids() -> bool {
    let id = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some(&id)).and_then(|line| line.split(':').next());
    let ranges = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    let is_own = |line: &str| line.split(':').next().is_some_and(|word| word == id || Some(word) == name);
    !host().root && tool("newuidmap").is_some() && ranges.lines().any(is_own)
}

fn user_namespaces_forbidden() -> bool {
    let most = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
    !host().root && most.is_ok_and(|most| most.trim() == "0")
}

/// A mount loads the module if it is not loaded yet; this mount has no options, so it always fails.
fn has_overlay() -> bool {
    use rustix::mount::{MountFlags, mount};
    let known = || std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("\toverlay\n");
    known() || mount("none", "/proc", "overlay", MountFlags::empty(), None).is_err() && known()
}

fn has_loops() -> bool {
    let there = || std::path::Path::new("/dev/loop-control").exists();
    // Load the module if no process has needed it yet.
    there() || tool("modprobe").is_some_and(|tool| Command::new(tool).arg("loop").status().is_ok()) && there()
}

pub fn root_is_initramfs() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/") && line.contains(" - rootfs "))
}

/// The name of this virtual host of tests/vm.
pub fn virtual_host() -> Option<String> {
    let line = std::fs::read_to_string("/proc/cmdline").ok()?;
    Some(line.split_whitespace().find_map(|word| word.strip_prefix("mydocker.host="))?.to_string())
}

pub fn is_virtual_host() -> bool {
    virtual_host().is_some()
}

/// Every `n`th of `all` on a virtual host, whose emulated processor is twenty times slower, each host from another one on; and all
/// of them elsewhere.
pub fn every<T: Copy>(n: usize, all: &[T]) -> Vec<T> {
    if !is_virtual_host() {
        return all.to_vec();
    }
    let line = std::fs::read("/proc/cmdline").expect("the kernel's command line");
    let first = line.into_iter().map(usize::from).sum::<usize>() % n;
    note(format!("one of {n}, from number {first} on"));
    all.iter().copied().skip(first).step_by(n).collect()
}

/// A virtual host has no tools that make images; it has ready-made images.
pub fn ready_made_image(kind: &str) -> Option<std::path::PathBuf> {
    let file = std::path::Path::new("/srv/images").join(format!("busybox.{kind}"));
    (is_virtual_host() && file.exists()).then_some(file)
}

fn has_image(kind: &str, tool_that_makes_it: &str) -> bool {
    ready_made_image(kind).is_some() || tool(tool_that_makes_it).is_some()
}

/// Where a Debian root is kept between runs of the tests, in cargo's target directory.
pub fn debian_root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian")
}

fn has_debian() -> bool {
    debian_root().join("etc/debian_version").exists() || host().root && tool("debootstrap").is_some()
}

fn is_on_console() -> bool {
    let stdout = std::io::stdout();
    rustix::fs::fstat(&stdout).is_ok_and(|stat| stat.st_rdev == rustix::fs::makedev(5, 1))
        && rustix::termios::isatty(&stdout)
}

fn has_terminals() -> bool {
    use rustix::pty::{OpenptFlags, openpt, unlockpt};
    openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).is_ok_and(|main| unlockpt(&main).is_ok())
}

fn can_nest() -> bool {
    let own = std::process::id() as i32;
    ["memory", "cpu"].iter().all(|name| !on_v2(name) || host().path_of_group(name, own) == "/")
}
