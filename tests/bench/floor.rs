//! The floor: what a run under four limits costs when nothing is looked up, checked or reported.
//!
//!     floor                                       a static `true`
//!     floor wait                                  prints "." and waits for the end of its input
//!     floor getppid                               how many nanoseconds one getppid(2) takes
//!     floor flood                                 writes 100 MB
//!     floor v1 MEMORY CPU CPUSET COMMAND [ARG..]  a run; the three directories are made, and removed at the end
//!     floor v2 GROUP COMMAND [ARG..]              the same where one cgroup2 directory carries all limits
//!     floor hardened v1|v2 ..                     the same with what a run gives up with all defaults: the bounding set, its
//!                                                 capabilities, its view of the cgroups above, a /sys that can be written
//!                                                 to, new privileges, and the calls that the filter refuses
//!
//! Same namespaces, same mounts, same limits (100m, 2048 shares, CPU 0, node 0) as the `mydocker run` that the bench
//! compares with it, in one straight line. It opens only the files that its command line names and ignores every
//! result: on a host where a call fails it measures nothing, so the bench checks once, from inside, that the limits are
//! in force.

#![no_main]

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null;

/// A buffer for a directory and the name of a file in it.
type Path = [u8; 512];

/// What both sides of clone use; the child has a copy of it.
struct Run {
    go: [c_int; 2],
    /// The directories whose `tasks` the child joins: three on v1, none on v2.
    groups: &'static [*const c_char],
    /// It gives up what a run with all defaults gives up.
    hardened: bool,
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
        [_, _] => wait(),
        [_, first, second, ..] => {
            // SAFETY: our caller promises that the strings of argv are NUL-terminated
            let hardened = unsafe { CStr::from_ptr(*first) } == c"hardened";
            let version = if hardened { second } else { first };
            // SAFETY: as above
            let v1 = unsafe { CStr::from_ptr(*version) } == c"v1";
            let begin = 2 + usize::from(hardened);
            let command = begin + if v1 { 3 } else { 1 };
            let (Some(groups), true) = (words.get(begin..command), words.len() > command) else { return 125 };
            // SAFETY: the match has checked that argc is large enough for these words
            let run = Run { go: [-1; 2], groups, hardened, command: unsafe { argv.add(command) }, environment };
            if v1 { run_v1(run) } else { run_v2(run) }
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

/// The parent makes the cgroups while the child mounts: nothing waits for them before the word "go".
fn run_v1(mut run: Run) -> c_int {
    let [memory, cpu, cpuset] = run.groups else { return 125 };
    // SAFETY: paths are NUL-terminated
    unsafe {
        libc::pipe2(run.go.as_mut_ptr(), libc::O_CLOEXEC);
        let pid = clone(&run, 0, -1);
        libc::close(run.go[0]);
        for group in run.groups {
            libc::mkdir(*group, 0o755);
        }
        put(*memory, c"/memory.limit_in_bytes", b"104857600");
        put(*cpu, c"/cpu.shares", b"2048");
        put(*cpuset, c"/cpuset.cpus", b"0");
        put(*cpuset, c"/cpuset.mems", b"0");
        libc::write(run.go[1], b"g".as_ptr().cast(), 1);
        libc::close(run.go[1]);
        end(pid, run.groups)
    }
}

/// The cgroup comes first: the child is born in it.
fn run_v2(run: Run) -> c_int {
    let [group] = run.groups else { return 125 };
    // SAFETY: paths are NUL-terminated
    unsafe {
        libc::mkdir(*group, 0o755);
        put(*group, c"/memory.max", b"104857600");
        put(*group, c"/cpu.weight", b"174");
        put(*group, c"/cpuset.cpus", b"0");
        put(*group, c"/cpuset.mems", b"0");
        let directory = libc::open(*group, libc::O_PATH | libc::O_DIRECTORY);
        let pid = clone(&run, CLONE_INTO_CGROUP, directory);
        libc::close(directory);
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
        bring_up_loopback();
        if run.go[0] >= 0 {
            let mut byte = 0u8;
            libc::read(run.go[0], (&raw mut byte).cast(), 1);
            libc::close(run.go[0]);
            for group in run.groups {
                put(*group, c"/tasks", b"0");
            }
        }
        if run.hardened {
            harden();
        }
        libc::execve(*run.command, run.command, run.environment);
        libc::_exit(127)
    }
}

/// What a run with all defaults gives up, with the same filter.
fn harden() {
    /// docker's capabilities without CAP_MKNOD, and the highest number that Linux has.
    const KEPT: u64 = 0xa004_25fb;
    const LAST: u64 = 40;
    // <linux/capability.h>: _LINUX_CAPABILITY_VERSION_3
    let header: [u32; 2] = [0x2008_0522, 0];
    let kept = KEPT as u32;
    let sets: [u32; 6] = [kept, kept, 0, 0, 0, 0];
    // struct mount_attr: what to set, what to clear, the propagation and a user namespace.
    let read_only: [u64; 4] = [1, 0, 0, 0];
    let mut filter = mydocker::privilege::filter(mydocker::spec::Capabilities(KEPT));
    let program = libc::sock_fprog { len: (filter.len() / 8) as u16, filter: filter.as_mut_ptr().cast() };
    // SAFETY: the arrays are the structures that the calls read, with their sizes; the filter outlives the call
    unsafe {
        libc::unshare(libc::CLONE_NEWCGROUP);
        const AT_RECURSIVE: c_int = 0x8000;
        let size = size_of_val(&read_only);
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/sys".as_ptr(),
            AT_RECURSIVE,
            &raw const read_only,
            size,
        );
        for capability in (0..=LAST).filter(|number| KEPT >> number & 1 == 0) {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::syscall(libc::SYS_capset, &raw const header, &raw const sets);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
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
