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
//!     floor asking v1 ..                          the same, and the calls by which mydocker finds out, makes sure and learns the end
//!     floor own v1|v2 GROUP.. -- COMMAND [ARG..]  a run with a /dev/shm of its own, a group of its own in each hierarchy, the first
//!                                                 three as above, and a mount of each in place of the host's
//!     floor bridged N v1|v2 ..                    the same with an address on the bridge that is the interface N; before `own`, too
//!     floor exec PID FILE.. -- COMMAND [ARG..]    joins the namespaces of a process, and writes itself to each FILE, which are the
//!                                                 `tasks` of its groups
//!     floor exec-last PID FILE.. -- COMMAND       the same, by a second clone: what was the host's process never is in the container
//!     floor exec-asking PID FILE.. RECORD -- COMMAND  the same, and the calls by which mydocker finds out what the record of the
//!                                                 container says, makes sure, and learns the end
//!     floor exec-confined PID FILE.. RECORD -- COMMAND  the same, and it gives up what the container has given up
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
    /// Their hierarchies, if the child unmounts them before it joins.
    tops: [c_int; 32],
    /// It gives up what a run with all defaults gives up.
    hardened: bool,
    /// It mounts what a run with all defaults mounts beside that.
    shown: bool,
    /// It makes mydocker's other calls, too, and makes nothing of what they tell.
    asking: bool,
    /// With that: open until execve(2), which its parent waits for.
    executed: [c_int; 2],
    /// It mounts what a run with --privileged mounts.
    own: bool,
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
            if exec.to_bytes().starts_with(b"exec") {
                // SAFETY: as above
                let end = words.iter().position(|word| unsafe { CStr::from_ptr(*word) } == c"--");
                let Some(files) = end.and_then(|end| words.get(3..end)) else { return 125 };
                // SAFETY: `--` is one of the words, and a null pointer follows the last one
                let command = unsafe { argv.add(4 + files.len()) };
                let (record, files) = match files.split_last() {
                    Some((record, files)) if [c"exec-asking", c"exec-confined"].contains(&exec) => {
                        (Some(*record), files)
                    }
                    _ => (None, files),
                };
                let how = How { last: exec != c"exec", confined: exec == c"exec-confined" };
                return join(*second, files, how, record, command, environment);
            }
            let mut run = Run {
                go: [-1; 2],
                groups: &[],
                tops: [libc::AT_FDCWD; 32],
                hardened: false,
                shown: false,
                asking: false,
                executed: [-1; 2],
                own: false,
                bridge: None,
                command: null(),
                environment,
            };
            let mut at = 1;
            let v1 = loop {
                let Some(word) = words.get(at) else { return 125 };
                at += 1;
                // SAFETY: as above
                match unsafe { CStr::from_ptr(*word) }.to_bytes() {
                    b"hardened" => run.hardened = true,
                    b"shown" => (run.hardened, run.shown) = (true, true),
                    b"asking" => (run.hardened, run.shown, run.asking) = (true, true, true),
                    b"own" => run.own = true,
                    b"bridged" => {
                        let Some(number) = words.get(at) else { return 125 };
                        // SAFETY: as above
                        run.bridge = unsafe { CStr::from_ptr(*number) }.to_str().ok().and_then(|n| n.parse().ok());
                        at += 1;
                    }
                    version => break version == b"v1",
                }
            };
            // SAFETY: as above
            let dashes = words.iter().position(|word| unsafe { CStr::from_ptr(*word) } == c"--");
            let end = dashes.filter(|_| run.own).unwrap_or(at + if v1 { 3 } else { 1 });
            let command = end + usize::from(run.own);
            let (Some(groups), true) = (words.get(at..end), words.len() > command) else { return 125 };
            run.groups = groups;
            if run.shown || run.own {
                for (group, top) in groups.iter().zip(&mut run.tops) {
                    // SAFETY: as above
                    let point = unsafe { hierarchy(*group) }.point;
                    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
                    // SAFETY: a path ends with a NUL
                    *top = unsafe { libc::open(point.as_ptr().cast(), flags) };
                }
            }
            // SAFETY: `argc` is large enough for these words, and a null pointer follows the last one
            run.command = unsafe { argv.add(command) };
            if v1 { run_v1(run) } else { run_v2(run) }
        }
    }
}

/// How a process joins a container.
struct How {
    /// The child enters the PID namespace for another child of the parent's, and not the parent for its child.
    last: bool,
    /// It gives up what a run with all defaults gives up.
    confined: bool,
}

/// What `mydocker exec` does with a container that runs, and nothing else. With a `record` it asks, too.
fn join(
    pid: *const c_char,
    files: &[*const c_char],
    How { last, confined }: How,
    record: Option<*const c_char>,
    command: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    // SAFETY: all strings are NUL-terminated, both vectors end with a null pointer, and the child shares no memory with its parent
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, libc::atoi(pid), 0) as c_int;
        let clone =
            |flags: c_int| libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize);
        let others = NAMESPACES & !libc::CLONE_NEWPID | libc::CLONE_NEWCGROUP;
        let (mut executed, mut word) = ([-1; 2], [-1; 2]);
        if let Some(record) = record {
            ask(record, pid, files);
            libc::pipe2(executed.as_mut_ptr(), libc::O_CLOEXEC);
            libc::pipe2(word.as_mut_ptr(), libc::O_CLOEXEC);
        }
        if !last {
            libc::setns(process, libc::CLONE_NEWPID);
        }
        let child = clone(0) as c_int;
        if child == 0 {
            if record.is_some() {
                libc::close(word[1]);
                libc::close(executed[0]);
            }
            for file in files {
                put(*file, c"", b"0");
            }
            libc::setns(process, if last { others | libc::CLONE_NEWPID } else { others });
            if record.is_some() {
                libc::setsid();
                libc::read(word[0], (&raw mut executed).cast(), 1);
                let directory = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY);
                libc::fchdir(directory);
                libc::close(directory);
                if confined {
                    harden();
                }
                libc::syscall(libc::SYS_close_range, 3, executed[1] - 1, 0);
                libc::syscall(libc::SYS_close_range, executed[1] + 1, c_int::MAX, 0);
            }
            if last && clone(libc::CLONE_PARENT) != 0 {
                libc::_exit(0);
            }
            if record.is_some() {
                libc::setsid();
                be_let_go(executed[1]);
            }
            libc::execve(*command, command, environment);
            libc::_exit(127)
        }
        if record.is_some() {
            libc::close(word[0]);
            libc::close(executed[1]);
            libc::write(word[1], c".".as_ptr().cast(), 1);
            libc::close(word[1]);
            await_execve(executed[0]);
        }
        match (last, end(child, &[])) {
            (true, 0) => end(-1, &[]),
            (_, status) => status,
        }
    }
}

/// What `exec` asks before clone(2): the record, whether it is alive and its process the same, whether it is frozen, its groups; and
/// then what `run` asks of its caller.
///
/// # Safety
/// All must be NUL-terminated.
unsafe fn ask(record: *const c_char, pid: *const c_char, files: &[*const c_char]) {
    let mut buffer = [0u8; 4096];
    // SAFETY: our caller promises it; the lengths are those of what the calls write
    unsafe {
        let buffer: *mut core::ffi::c_void = buffer.as_mut_ptr().cast();
        let directory = libc::open(record, libc::O_RDONLY | libc::O_DIRECTORY);
        for above in [c"..", c"."] {
            libc::close(libc::openat(directory, above.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY));
            libc::syscall(libc::SYS_statx, directory, c"".as_ptr(), libc::AT_EMPTY_PATH, 0x17ff, buffer);
        }
        libc::flock(directory, libc::LOCK_SH | libc::LOCK_NB);
        for file in [c"status", c"state", c"config"] {
            let file = libc::openat(directory, file.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW);
            libc::pread(file, buffer, 1024, 0);
            libc::close(file);
        }
        let mut path: Path = [0; 512];
        for (to, from) in path[..511]
            .iter_mut()
            .zip([c"/proc/", CStr::from_ptr(pid), c"/stat"].iter().flat_map(|part| part.to_bytes()))
        {
            *to = *from;
        }
        let file = libc::open(path.as_ptr().cast(), libc::O_RDONLY);
        libc::read(file, buffer, 1024);
        libc::close(file);
        for file in files {
            libc::close(libc::open(*file, libc::O_RDONLY));
            libc::faccessat(libc::AT_FDCWD, *file, libc::F_OK, 0);
        }
        ask_of_caller(&[(c"/proc/self/status", 1)]);
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
    let [memory, cpu, cpuset, ..] = run.groups else { return 125 };
    let signals = if run.asking { look(&mut run) } else { -1 };
    // SAFETY: paths are NUL-terminated
    unsafe {
        libc::pipe2(run.go.as_mut_ptr(), libc::O_CLOEXEC);
        // Beside the hierarchies of v1 there may be one of v2: the child is born in its group there.
        let pid = match run.groups.iter().find(|group| !hierarchy(**group).is_v1()) {
            None => clone(&run, 0, -1),
            Some(group) => {
                libc::mkdir(*group, 0o755);
                let directory = libc::open(*group, libc::O_PATH | libc::O_DIRECTORY);
                let pid = clone(&run, CLONE_INTO_CGROUP, directory);
                libc::close(directory);
                pid
            }
        };
        libc::close(run.go[0]);
        let _table = run.bridge.map(|bridge| connect(bridge, pid));
        for group in run.groups.iter().filter(|group| hierarchy(**group).is_v1()) {
            libc::mkdir(*group, 0o755);
            if run.asking {
                own(*group);
            }
        }
        let put = if run.asking { put_and_read_back } else { put };
        put(*memory, c"/memory.limit_in_bytes", b"104857600");
        if run.asking {
            put(*memory, c"/memory.memsw.limit_in_bytes", b"104857600");
        }
        put(*cpu, c"/cpu.shares", b"2048");
        put(*cpuset, c"/cpuset.cpus", b"0");
        put(*cpuset, c"/cpuset.mems", b"0");
        libc::write(run.go[1], address(pid).bytes().as_ptr().cast(), 4);
        libc::close(run.go[1]);
        if run.asking {
            await_end(&run, signals);
        }
        end(pid, run.groups)
    }
}

/// What mydocker asks before clone(2): who it is, where the cgroups are mounted, in which it is, which user namespace this is,
/// whether a stream is a directory. It keeps the signals for a descriptor, which is returned.
fn look(run: &mut Run) -> c_int {
    let signals = ask_of_caller(&[(c"/proc/self/status", 1), (c"/proc/self/mountinfo", 2), (c"/proc/self/cgroup", 2)]);
    // SAFETY: the names are NUL-terminated, the lengths those of what the calls read and write
    unsafe {
        for group in run.groups {
            // struct open_how: RESOLVE_NO_SYMLINKS
            let how = [(libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0, 0x04];
            let point = hierarchy(*group).point;
            libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, point.as_ptr(), how.as_ptr(), size_of_val(&how));
        }
        libc::pipe2(run.executed.as_mut_ptr(), libc::O_CLOEXEC);
    }
    signals
}

/// What it asks of its caller: these files, with so many reads, the user namespace, the streams.
fn ask_of_caller(files: &[(&CStr, usize)]) -> c_int {
    let mut buffer = [0u8; 4096];
    let signals = all_signals();
    // SAFETY: the names are NUL-terminated, the lengths those of what the calls read and write
    unsafe {
        let buffer: *mut core::ffi::c_void = buffer.as_mut_ptr().cast();
        for (file, reads) in files {
            let file = libc::open(file.as_ptr(), libc::O_RDONLY);
            if *reads == 1 {
                let mut status: libc::statfs = core::mem::zeroed();
                libc::fstatfs(file, &mut status);
            }
            for _ in 0..*reads {
                libc::read(file, buffer, 4096);
            }
            libc::close(file);
        }
        libc::syscall(libc::SYS_statx, libc::AT_FDCWD, c"/proc/self/ns/user".as_ptr(), 0, 0x17ff, buffer);
        for stream in 0..3 {
            libc::syscall(libc::SYS_getdents64, stream, null::<u8>(), 0);
        }
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const signals, null::<u8>(), 8);
        libc::syscall(libc::SYS_signalfd4, -1, &raw const signals, 8, libc::O_CLOEXEC) as c_int
    }
}

/// What the child does last: it dies with its parent, which is still there, and no signal is blocked.
fn be_let_go(executed: c_int) {
    let none = 0u64;
    // SAFETY: the pointers are to local variables
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        let mut parent = libc::pollfd { fd: executed, events: 0, revents: 0 };
        libc::ppoll(&mut parent, 1, &core::mem::zeroed(), null());
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, null::<u8>(), 8);
    }
}

/// Waits until execve(2) has closed the other end.
fn await_execve(executed: c_int) {
    let mut buffer = [0u8; 256];
    // SAFETY: the lengths are those of the buffer and of one structure
    unsafe {
        let mut end = libc::pollfd { fd: executed, events: libc::POLLIN, revents: 0 };
        libc::ppoll(&mut end, 1, null(), null());
        libc::read(executed, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(executed);
    }
}

/// Those that mydocker blocks: all but KILL, STOP, TTIN and TTOU.
fn all_signals() -> u64 {
    !(1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1) | 1 << (libc::SIGTTIN - 1) | 1 << (libc::SIGTTOU - 1))
}

/// Marks a group as mydocker marks its own, and locks it.
///
/// # Safety
/// `group` must be NUL-terminated.
unsafe fn own(group: *const c_char) {
    // SAFETY: our caller promises it
    unsafe {
        let directory = libc::open(group, libc::O_RDONLY | libc::O_DIRECTORY);
        libc::flock(directory, libc::LOCK_EX | libc::LOCK_NB);
        libc::faccessat(directory, c"cgroup.procs".as_ptr(), libc::F_OK, 0);
        libc::fchmod(directory, 0o1755);
    }
}

/// Waits for execve(2), looks for leftovers, waits for the end, and reads whether memory was short.
fn await_end(run: &Run, signals: c_int) {
    let mut buffer = [0u8; 8192];
    let Some(memory) = run.groups.first() else { return };
    // SAFETY: the descriptors are ours, the paths NUL-terminated, the lengths those of the buffers
    unsafe {
        libc::close(run.executed[1]);
        await_execve(run.executed[0]);
        let above = libc::open(hierarchy(*memory).point.as_ptr().cast(), libc::O_RDONLY | libc::O_DIRECTORY);
        libc::syscall(libc::SYS_getdents64, above, buffer.as_mut_ptr(), buffer.len());
        libc::close(above);
        libc::read(signals, buffer.as_mut_ptr().cast(), 128);
        let mut path: Path = [0; 512];
        let memory = CStr::from_ptr(*memory).to_bytes();
        for (to, from) in path[..511].iter_mut().zip(memory.iter().chain(b"/memory.oom_control")) {
            *to = *from;
        }
        let counters = libc::open(path.as_ptr().cast(), libc::O_RDONLY);
        libc::read(counters, buffer.as_mut_ptr().cast(), 512);
        libc::close(counters);
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
        if run.asking {
            libc::close(run.executed[0]);
            libc::setsid();
        }
        libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_SLAVE, null());
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, null());
        if run.shown || run.own {
            libc::mount(c"shm".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), flags, c"mode=1777".as_ptr().cast());
            if run.shown {
                make_sys_read_only();
            }
            for group in run.groups {
                libc::umount2(hierarchy(*group).point.as_ptr().cast(), libc::MNT_DETACH);
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
            for (group, top) in run.groups.iter().zip(run.tops) {
                let Hierarchy { point, options } = hierarchy(*group);
                let above = CStr::from_ptr(point.as_ptr().cast()).count_bytes() + 1;
                let at = if top == libc::AT_FDCWD { 0 } else { above };
                if !options.is_null() {
                    put_at(top, group.add(at), c"/tasks", b"0");
                }
            }
            if run.bridge.is_some() {
                configure(address);
            }
        }
        if run.hardened || run.own {
            libc::unshare(libc::CLONE_NEWCGROUP);
            if run.shown || run.own {
                let flags = if run.own { flags } else { flags | libc::MS_RDONLY };
                for group in run.groups {
                    let Hierarchy { point, options } = hierarchy(*group);
                    let kind = if options.is_null() { c"cgroup2" } else { c"cgroup" };
                    libc::mount(kind.as_ptr(), point.as_ptr().cast(), kind.as_ptr(), flags, options.cast());
                }
            } else {
                make_sys_read_only();
            }
        }
        if run.asking {
            libc::syscall(libc::SYS_close_range, 3, c_int::MAX, libc::CLOSE_RANGE_CLOEXEC);
            be_let_go(run.executed[1]);
        }
        if run.hardened {
            harden();
        }
        libc::execve(*run.command, run.command, run.environment);
        libc::_exit(127)
    }
}

/// A hierarchy below /sys/fs/cgroup.
struct Hierarchy {
    /// Where it is mounted.
    point: Path,
    /// What it is mounted with: its controllers, or its name; null for cgroup2.
    options: *const c_char,
}

impl Hierarchy {
    fn is_v1(&self) -> bool {
        !self.options.is_null()
    }
}

/// What hierarchies of v1 are mounted with, by the usual names of their directories.
const V1: &[&CStr] = &[
    c"memory",
    c"cpuset",
    c"cpu,cpuacct",
    c"cpu",
    c"cpuacct",
    c"pids",
    c"blkio",
    c"freezer",
    c"devices",
    c"hugetlb",
    c"perf_event",
    c"net_cls,net_prio",
    c"net_cls",
    c"net_prio",
    c"rdma",
    c"misc",
    c"name=systemd",
];

/// That of a group.
///
/// # Safety
/// `group` must be NUL-terminated.
unsafe fn hierarchy(group: *const c_char) -> Hierarchy {
    const TOP: &[u8] = b"/sys/fs/cgroup";
    let mut point: Path = [0; 512];
    // SAFETY: our caller promises it
    let group = unsafe { CStr::from_ptr(group) }.to_bytes();
    let name = group.get(TOP.len() + 1..).unwrap_or_default().split(|byte| *byte == b'/').next().unwrap_or_default();
    let is_of = |known: &&&CStr| known.to_bytes().strip_prefix(b"name=").unwrap_or(known.to_bytes()) == name;
    let options = V1.iter().find(is_of);
    let has_directory = options.is_some() || name == b"unified";
    let length = if has_directory { TOP.len() + 1 + name.len() } else { TOP.len() };
    for (to, from) in point[..511].iter_mut().zip(group.get(..length).unwrap_or_default()) {
        *to = *from;
    }
    Hierarchy { point, options: options.map_or(null(), |options| options.as_ptr()) }
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
    // SAFETY: our caller promises it
    unsafe { put_at(libc::AT_FDCWD, directory, file, value) }
}

/// The same, and reads it back, as mydocker does: the kernel may round a value, or keep it and apply another one.
///
/// # Safety
/// `directory` must be NUL-terminated.
unsafe fn put_and_read_back(directory: *const c_char, file: &CStr, value: &[u8]) {
    let mut path: Path = [0; 512];
    let mut buffer = [0u8; 4096];
    // SAFETY: as in `put_at`
    let directory = unsafe { CStr::from_ptr(directory) }.to_bytes();
    for (to, from) in path[..511].iter_mut().zip(directory.iter().chain(file.to_bytes())) {
        *to = *from;
    }
    // SAFETY: `path` is NUL-terminated, and the pointers and the lengths are those of `value` and `buffer`
    unsafe {
        let file = libc::open(path.as_ptr().cast(), libc::O_RDWR);
        libc::write(file, value.as_ptr().cast(), value.len());
        libc::pread(file, buffer.as_mut_ptr().cast(), buffer.len(), 0);
        libc::close(file);
    }
}

/// The same below the directory that is `top`.
///
/// # Safety
/// `directory` must be NUL-terminated.
unsafe fn put_at(top: c_int, directory: *const c_char, file: &CStr, value: &[u8]) {
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
        let file = libc::openat(top, path.as_ptr().cast(), libc::O_WRONLY);
        libc::write(file, value.as_ptr().cast(), value.len());
        libc::close(file);
    }
}
