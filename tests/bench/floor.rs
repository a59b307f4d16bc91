//! The floor: what a run under four limits costs when nothing is looked up, checked or reported.
//!
//!     floor                                       a static `true`
//!     floor wait                                  prints "." and waits for the end of its input
//!     floor getppid                               how many nanoseconds one getppid(2) takes
//!     floor flood                                 writes 100 MB
//!     floor serve                                 on port 80: prints "." to each connection, and as many bytes as it asks for
//!     floor v1 MEMORY CPU CPUSET COMMAND [ARG..]  a run; the three directories are made, and removed at the end
//!     floor v2 GROUP COMMAND [ARG..]              the same where one cgroup2 directory carries all limits
//!     floor hardened v1|v2 ..                     the same with what a run gives up with all defaults: the bounding set, its
//!                                                 capabilities, its view of the cgroups above, a /sys that can be written
//!                                                 to, new privileges, and the calls that the filter refuses
//!     floor shown v1|v2 ..                        the same, with a /dev/shm of its own, and with a read-only mount of its own
//!                                                 cgroups in place of each hierarchy that has one, below /sys/fs/cgroup
//!     floor bridged N v1|v2 ..                    the same with an address on the bridge that is the interface N
//!     floor exec PID FILE.. -- COMMAND [ARG..]    joins the namespaces of a process, and writes itself to each FILE, which are the
//!                                                 `tasks` of its groups
//!     floor exec-last PID FILE.. -- COMMAND       the same, by a second clone: what was the host's process never is in the container
//!
//! Same namespaces, same mounts, same limits (100m, 2048 shares, CPU 0, node 0) as the `mydocker run` that the bench
//! compares with it, in one straight line. It opens only the files that its command line names and ignores every
//! result: on a host where a call fails it measures nothing, so the bench checks once, from inside, that the limits are
//! in force.

#![no_main]

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null;
use mydocker::bytes::{Address, Put, Subnet};
use mydocker::network::bridge::{INFO_DATA, INFO_KIND, LINK, PEER};
use mydocker::network::filter;
use mydocker::sys::netlink::ACK;
use mydocker::sys::{self, NetlinkFamily, Requests};
use std::io::{BufRead, BufReader, Write};

/// A buffer for a directory and the name of a file in it.
type Path = [u8; 512];

/// What both sides of clone use; the child has a copy of it.
struct Run {
    go: [c_int; 2],
    /// The directories whose `tasks` the child joins: three on v1, none on v2.
    groups: &'static [*const c_char],
    /// It gives up what a run with all defaults gives up.
    hardened: bool,
    /// It mounts what a run with all defaults mounts beside that.
    shown: bool,
    /// The number of the bridge that it is on.
    bridge: Option<u32>,
    /// Both end with a null pointer, as the C start-up code made them.
    command: *const *const c_char,
    environment: *const *const c_char,
}

const NAMESPACES: c_int =
    libc::CLONE_NEWUTS | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC;

/// <linux/sched.h>; the libc crate has it only for glibc.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The C start-up code calls this.
///
/// # Safety
/// `argv` must hold `argc` strings that live until the process ends, followed by a null pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char, environment: *const *const c_char) -> c_int {
    // SAFETY: our caller promises argc strings in argv
    let words: &'static [*const c_char] = unsafe { core::slice::from_raw_parts(argv, argc as usize) };
    match words {
        [] | [_] => 0,
        // SAFETY: our caller promises that the strings of argv are NUL-terminated
        [_, word] if unsafe { CStr::from_ptr(*word) } == c"getppid" => getppid(),
        [_, word] if unsafe { CStr::from_ptr(*word) } == c"flood" => flood(),
        // SAFETY: as above
        [_, word] if unsafe { CStr::from_ptr(*word) } == c"serve" => serve(),
        [_, _] => wait(),
        [_, first, second, ..] => {
            // SAFETY: our caller promises that the strings of argv are NUL-terminated
            let exec = unsafe { CStr::from_ptr(*first) };
            if exec == c"exec" || exec == c"exec-last" {
                // SAFETY: as above
                let end = words.iter().position(|word| unsafe { CStr::from_ptr(*word) } == c"--");
                let Some(files) = end.and_then(|end| words.get(3..end)) else { return 125 };
                // SAFETY: `--` is one of the words, and a null pointer follows the last one
                return join(*second, files, exec == c"exec-last", unsafe { argv.add(4 + files.len()) }, environment);
            }
            // SAFETY: as above
            let shown = unsafe { CStr::from_ptr(*first) } == c"shown";
            // SAFETY: as above
            let hardened = shown || unsafe { CStr::from_ptr(*first) } == c"hardened";
            // SAFETY: as above
            let bridged = unsafe { CStr::from_ptr(*first) } == c"bridged";
            // SAFETY: as above
            let number = unsafe { CStr::from_ptr(*second) }.to_str().ok().and_then(|number| number.parse().ok());
            let bridge = number.filter(|_| bridged);
            let version = match (hardened, bridged) {
                (true, _) => second,
                (_, true) => words.get(3).unwrap_or(second),
                _ => first,
            };
            // SAFETY: as above
            let v1 = unsafe { CStr::from_ptr(*version) } == c"v1";
            let begin = 2 + usize::from(hardened) + 2 * usize::from(bridged);
            let command = begin + if v1 { 3 } else { 1 };
            let (Some(groups), true) = (words.get(begin..command), words.len() > command) else { return 125 };
            // SAFETY: the match has checked that argc is large enough for these words
            let run = Run {
                go: [-1; 2],
                groups,
                hardened,
                shown,
                bridge,
                command: unsafe { argv.add(command) },
                environment,
            };
            if v1 { run_v1(run) } else { run_v2(run) }
        }
    }
}

/// What `mydocker exec` does with a container that runs, and nothing else: the parent enters the PID namespace for its child, or the
/// child does for another child of the parent's.
fn join(
    pid: *const c_char,
    files: &[*const c_char],
    last: bool,
    command: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    // SAFETY: all strings are NUL-terminated, both vectors end with a null pointer, and the child shares no memory with its parent
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, libc::atoi(pid), 0) as c_int;
        let clone =
            |flags: c_int| libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize);
        let others = NAMESPACES & !libc::CLONE_NEWPID | libc::CLONE_NEWCGROUP;
        if !last {
            libc::setns(process, libc::CLONE_NEWPID);
        }
        let child = clone(0) as c_int;
        if child == 0 {
            for file in files {
                put(*file, c"", b"0");
            }
            libc::setns(process, if last { others | libc::CLONE_NEWPID } else { others });
            if last && clone(libc::CLONE_PARENT) != 0 {
                libc::_exit(0);
            }
            libc::execve(*command, command, environment);
            libc::_exit(127)
        }
        match (last, end(child, &[])) {
            (true, 0) => end(-1, &[]),
            (_, status) => status,
        }
    }
}

/// The cheapest system call there is, many times: the least of ten loops.
fn getppid() -> c_int {
    const CALLS: u32 = 200_000;
    let mut least = f64::MAX;
    for _ in 0..10 {
        let begun = std::time::Instant::now();
        for _ in 0..CALLS {
            // SAFETY: getppid takes no arguments
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{least:.1}");
    0
}

fn wait() -> c_int {
    let mut byte = [b'.'];
    // SAFETY: both calls get a pointer to one byte and the length 1
    unsafe {
        libc::write(1, byte.as_ptr().cast(), 1);
        while libc::read(0, byte.as_mut_ptr().cast(), 1) == 1 {}
    }
    0
}

/// In blocks of the size that most programs write, of a byte that a terminal does not expand to two.
fn flood() -> c_int {
    let block = [b'.'; 8000];
    for _ in 0..100_000_000 / block.len() {
        let mut done = 0;
        while let Some(rest) = block.get(done..).filter(|rest| !rest.is_empty()) {
            // SAFETY: the pointer and the length are of one slice
            match unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) } {
                n if n > 0 => done += n as usize,
                _ => return 1,
            }
        }
    }
    0
}

fn serve() -> c_int {
    let listener = std::net::TcpListener::bind("0.0.0.0:80").expect("port 80");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut words = String::new();
            BufReader::new(&stream).read_line(&mut words)?;
            (&stream).write_all(b".")?;
            let (block, mut left) = ([b'.'; 1 << 16], words.trim().parse().unwrap_or(0));
            while left > 0 {
                let part = block.get(..left).unwrap_or(&block);
                (&stream).write_all(part)?;
                left -= part.len();
            }
            Ok(())
        });
    }
    0
}

/// The parent makes the cgroups while the child mounts: nothing waits for them before the word "go".
fn run_v1(mut run: Run) -> c_int {
    let [memory, cpu, cpuset] = run.groups else { return 125 };
    // SAFETY: paths are NUL-terminated
    unsafe {
        libc::pipe2(run.go.as_mut_ptr(), libc::O_CLOEXEC);
        let pid = clone(&run, 0, -1);
        libc::close(run.go[0]);
        let _table = run.bridge.map(|bridge| connect(bridge, pid));
        for group in run.groups {
            libc::mkdir(*group, 0o755);
        }
        put(*memory, c"/memory.limit_in_bytes", b"104857600");
        put(*cpu, c"/cpu.shares", b"2048");
        put(*cpuset, c"/cpuset.cpus", b"0");
        put(*cpuset, c"/cpuset.mems", b"0");
        libc::write(run.go[1], address(pid).bytes().as_ptr().cast(), 4);
        libc::close(run.go[1]);
        end(pid, run.groups)
    }
}

/// The cgroup comes first: the child is born in it.
fn run_v2(mut run: Run) -> c_int {
    let [group] = run.groups else { return 125 };
    // SAFETY: paths are NUL-terminated
    unsafe {
        libc::mkdir(*group, 0o755);
        put(*group, c"/memory.max", b"104857600");
        put(*group, c"/cpu.weight", b"174");
        put(*group, c"/cpuset.cpus", b"0");
        put(*group, c"/cpuset.mems", b"0");
        let directory = libc::open(*group, libc::O_PATH | libc::O_DIRECTORY);
        if run.bridge.is_some() {
            libc::pipe2(run.go.as_mut_ptr(), libc::O_CLOEXEC);
        }
        let pid = clone(&run, CLONE_INTO_CGROUP, directory);
        libc::close(directory);
        let _table = run.bridge.map(|bridge| connect(bridge, pid));
        if run.bridge.is_some() {
            libc::write(run.go[1], address(pid).bytes().as_ptr().cast(), 4);
            libc::close(run.go[1]);
        }
        end(pid, run.groups)
    }
}

/// Returns only in the parent. It calls clone(2) on v1, as mydocker does, and clone3(2) where a cgroup is named. No
/// stack is named, so the child continues on its copy of this one, which saves the mmap and the assembly.
fn clone(run: &Run, more: u64, cgroup: c_int) -> c_int {
    // struct clone_args up to `cgroup`; the fifth word is the signal that the child's exit sends.
    let args = [NAMESPACES as u64 | more, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, 0, 0, cgroup as u64];
    // SAFETY: the child shares no memory with us and never leaves this function
    unsafe {
        let pid = match more {
            0 => libc::syscall(libc::SYS_clone, NAMESPACES | libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize),
            _ => libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)),
        };
        if pid == 0 {
            child(run);
        }
        pid as c_int
    }
}

/// # Safety
/// The cgroups must be NUL-terminated.
unsafe fn end(pid: c_int, groups: &[*const c_char]) -> c_int {
    let mut status = 0;
    // SAFETY: `status` is a local variable; our caller promises the rest
    unsafe {
        libc::waitpid(pid, &mut status, 0);
        for group in groups {
            libc::rmdir(*group);
        }
    }
    libc::WEXITSTATUS(status)
}

fn child(run: &Run) -> ! {
    // SAFETY: all paths are NUL-terminated, both vectors end with a null pointer
    unsafe {
        if run.go[1] >= 0 {
            libc::close(run.go[1]);
        }
        libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_SLAVE, null());
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, null());
        if run.shown {
            libc::mount(c"shm".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), flags, c"mode=1777".as_ptr().cast());
            make_sys_read_only();
            for group in run.groups {
                libc::umount2(hierarchy(*group).0.as_ptr().cast(), libc::MNT_DETACH);
            }
        }
        if run.bridge.is_none() {
            bring_up_loopback();
        }
        if run.go[0] >= 0 {
            let mut address = [0u8; 4];
            libc::read(run.go[0], (&raw mut address).cast(), 4);
            libc::close(run.go[0]);
            // A directory of v2 has no such file, and the child was born in it.
            for group in run.groups.iter().filter(|_| run.groups.len() > 1) {
                put(*group, c"/tasks", b"0");
            }
            if run.bridge.is_some() {
                configure(address);
            }
        }
        if run.hardened {
            libc::unshare(libc::CLONE_NEWCGROUP);
            if run.shown {
                let flags = flags | libc::MS_RDONLY;
                for group in run.groups {
                    let (point, name) = hierarchy(*group);
                    let kind = if name.is_null() { c"cgroup2" } else { c"cgroup" };
                    libc::mount(kind.as_ptr(), point.as_ptr().cast(), kind.as_ptr(), flags, name.cast());
                }
            } else {
                make_sys_read_only();
            }
            harden();
        }
        libc::execve(*run.command, run.command, run.environment);
        libc::_exit(127)
    }
}

/// Where the hierarchy of a group below /sys/fs/cgroup is mounted, and its controllers: null for cgroup2.
///
/// # Safety
/// `group` must be NUL-terminated.
unsafe fn hierarchy(group: *const c_char) -> (Path, *const c_char) {
    const TOP: &[u8] = b"/sys/fs/cgroup";
    let mut point: Path = [0; 512];
    // SAFETY: our caller promises it
    let group = unsafe { CStr::from_ptr(group) }.to_bytes();
    let name = group.get(TOP.len() + 1..).unwrap_or_default().split(|byte| *byte == b'/').next().unwrap_or_default();
    let controllers = [c"memory", c"cpuset", c"cpu,cpuacct", c"cpu"].into_iter().find(|known| known.to_bytes() == name);
    let length = if controllers.is_some() { TOP.len() + 1 + name.len() } else { TOP.len() };
    for (to, from) in point[..511].iter_mut().zip(group.get(..length).unwrap_or_default()) {
        *to = *from;
    }
    (point, controllers.map_or(null(), CStr::as_ptr))
}

fn make_sys_read_only() {
    const AT_RECURSIVE: c_int = 0x8000;
    // struct mount_attr: what to set, what to clear, the propagation and a user namespace.
    let attr: [u64; 4] = [1, 0, 0, 0];
    let size = size_of_val(&attr);
    // SAFETY: the array is the structure that the call reads, with its size
    unsafe {
        let setattr = libc::SYS_mount_setattr;
        libc::syscall(setattr, libc::AT_FDCWD, c"/sys".as_ptr(), AT_RECURSIVE, &raw const attr, size);
    }
}

/// What a run with all defaults gives up of itself, with the same filter.
fn harden() {
    /// docker's capabilities without CAP_MKNOD, and the highest number that Linux has.
    const KEPT: u64 = 0xa004_25fb;
    const LAST: u64 = 40;
    // <linux/capability.h>: _LINUX_CAPABILITY_VERSION_3
    let header: [u32; 2] = [0x2008_0522, 0];
    let kept = KEPT as u32;
    let sets: [u32; 6] = [kept, kept, 0, 0, 0, 0];
    let mut filter = mydocker::privilege::filter(mydocker::spec::Capabilities(KEPT));
    let program = libc::sock_fprog { len: (filter.len() / 8) as u16, filter: filter.as_mut_ptr().cast() };
    // SAFETY: the arrays are the structures that the calls read, with their sizes; the filter outlives the call
    unsafe {
        for capability in (0..=LAST).filter(|number| KEPT >> number & 1 == 0) {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::syscall(libc::SYS_capset, &raw const header, &raw const sets);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
    }
}

/// The address that mydocker tries first for a child with this pid.
fn address(pid: c_int) -> Address {
    NETWORK.address(pid as u32)
}

const NETWORK: Subnet = Subnet { base: 0x0a58_0000, prefix: 16 };
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16 | ACK;

/// struct ifinfomsg.
fn link(index: u32, flags: c_int) -> [u8; LINK] {
    let mut link = [0; LINK];
    link[4..8].copy_from_slice(&index.to_ne_bytes());
    link[8..12].copy_from_slice(&flags.to_ne_bytes());
    link[12..].copy_from_slice(&flags.to_ne_bytes());
    link
}

/// The pair of interfaces, and the way out. Returns the socket that the table of packet filters belongs to.
fn connect(bridge: u32, pid: c_int) -> Option<sys::Fd> {
    let address = address(pid);
    let mut name = b"v".to_vec();
    address.put(&mut name);
    name.put(b"\0");
    let [a, b, c, d] = address.bytes();
    let mut requests = Requests::default();
    requests.begin(libc::RTM_NEWLINK, CREATE, &[&link(0, libc::IFF_UP)]);
    requests.attribute(libc::IFLA_IFNAME, &name);
    requests.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
    let info = requests.begin_attribute(libc::IFLA_LINKINFO);
    requests.attribute(INFO_KIND, b"veth");
    let data = requests.begin_attribute(INFO_DATA);
    let peer = requests.begin_attribute(PEER);
    requests.extend(&link(0, 0));
    requests.attribute(libc::IFLA_IFNAME, b"eth0\0");
    requests.attribute(libc::IFLA_ADDRESS, &[0x02, 0x42, a, b, c, d]);
    requests.attribute(libc::IFLA_NET_NS_PID, &(pid as u32).to_ne_bytes());
    requests.end_attribute(peer);
    requests.end_attribute(data);
    requests.end_attribute(info);
    let socket = sys::netlink(NetlinkFamily::ROUTE).ok()?;
    requests.send(&socket, b"").ok()?;
    let table = sys::netlink(NetlinkFamily::NETFILTER).ok()?;
    filter::masquerade(&table, address, "mydocker0").ok()?;
    Some(table)
}

/// What the child tells the kernel: lo and eth0 up, the address, the way out.
fn configure(address: [u8; 4]) {
    // SAFETY: the name ends with a NUL
    let index = unsafe { libc::if_nametoindex(c"eth0".as_ptr()) };
    let mut requests = Requests::default();
    requests.begin(libc::RTM_NEWLINK, ACK, &[&link(1, libc::IFF_UP)]);
    requests.begin(libc::RTM_NEWLINK, ACK, &[&link(index, libc::IFF_UP)]);
    let head = [libc::AF_INET as u8, NETWORK.prefix, 0, 0];
    requests.begin(libc::RTM_NEWADDR, CREATE, &[&head, &index.to_ne_bytes()]);
    requests.attribute(libc::IFA_LOCAL, &address);
    requests.attribute(libc::IFA_ADDRESS, &address);
    let route =
        [libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_BOOT, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
    requests.begin(libc::RTM_NEWROUTE, CREATE, &[&route]);
    requests.attribute(libc::RTA_GATEWAY, &NETWORK.gateway().bytes());
    if let Ok(socket) = sys::netlink(NetlinkFamily::ROUTE) {
        let _ = requests.send(&socket, b"");
    }
}

fn bring_up_loopback() {
    // SAFETY: an ifreq is plain data, so zeros are a valid one; the ioctl reads one
    unsafe {
        let mut request: libc::ifreq = core::mem::zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request);
        libc::close(socket);
    }
}

/// # Safety
/// `directory` must be NUL-terminated.
unsafe fn put(directory: *const c_char, file: &CStr, value: &[u8]) {
    let mut path: Path = [0; 512];
    // SAFETY: our caller promises a NUL-terminated directory; longer paths are cut before the last byte, which stays
    // NUL
    let directory = unsafe { CStr::from_ptr(directory) }.to_bytes();
    for (to, from) in path[..511].iter_mut().zip(directory.iter().chain(file.to_bytes())) {
        *to = *from;
    }
    // SAFETY: `path` is NUL-terminated, and the pointer and the length are those of `value`
    unsafe {
        // No O_CLOEXEC: the descriptor is closed at once, and musl would spend an fcntl on it.
        let file = libc::open(path.as_ptr().cast(), libc::O_WRONLY);
        libc::write(file, value.as_ptr().cast(), value.len());
        libc::close(file);
    }
}
