//! Probes that try what they should not be able to do, and print the kernel's answers.

use std::ffi::CString;
use std::fs;
use std::io::Error;

/// `0`, or the name of the errno.
fn call_result(result: i64) -> String {
    if result >= 0 {
        return "0".into();
    }
    let errno = Error::last_os_error().raw_os_error().unwrap_or_default();
    match errno {
        libc::EPERM => "EPERM".into(),
        libc::ENOSYS => "ENOSYS".into(),
        libc::EACCES => "EACCES".into(),
        libc::EROFS => "EROFS".into(),
        libc::EINVAL => "EINVAL".into(),
        libc::EBADF => "EBADF".into(),
        libc::EFAULT => "EFAULT".into(),
        libc::ENOENT => "ENOENT".into(),
        libc::ESRCH => "ESRCH".into(),
        libc::ETXTBSY => "ETXTBSY".into(),
        libc::ENOTTY => "ENOTTY".into(),
        other => format!("errno {other}"),
    }
}

fn result_name(result: std::io::Result<()>) -> String {
    match result {
        Ok(()) => "0".into(),
        Err(error) => {
            // SAFETY: errno belongs to this thread
            unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or_default() };
            call_result(-1)
        }
    }
}

/// Calls with arguments that do no harm if the call is allowed, so that the errno shows whether it is: name, number,
/// arguments.
#[rustfmt::skip]
const CALLS: &[(&str, libc::c_long, [libc::c_long; 4])] = &[
    ("getppid", libc::SYS_getppid, [0; 4]),
    ("read", libc::SYS_read, [-1, 0, 0, 0]),
    ("openat", libc::SYS_openat, [-1, 0, 0, 0]),
    ("futex", libc::SYS_futex, [0, -1, 0, 0]),
    ("socket", libc::SYS_socket, [1, 1, 0, 0]),
    ("socket_vsock", libc::SYS_socket, [40, 1, 0, 0]),
    ("ptrace", libc::SYS_ptrace, [-1, 0, 0, 0]),
    ("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0]),
    ("personality_8", libc::SYS_personality, [8, 0, 0, 0]),
    ("personality_no_random", libc::SYS_personality, [0x4_0000, 0, 0, 0]),
    ("clone_signal", libc::SYS_clone, [0x1_0000, 0, 0, 0]),
    ("clone_newuser", libc::SYS_clone, [0x1000_0000, 0, 0, 0]),
    ("clone_newns", libc::SYS_clone, [0x2_0000 | 0x200, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, [0, 0, 0, 0]),
    ("unshare_nothing", libc::SYS_unshare, [0, 0, 0, 0]),
    ("unshare_files", libc::SYS_unshare, [0x400, 0, 0, 0]),
    ("unshare_newuser", libc::SYS_unshare, [0x1000_0000, 0, 0, 0]),
    ("unshare_newtime", libc::SYS_unshare, [0x80, 0, 0, 0]),
    ("unshare_files", libc::SYS_unshare, [0x400, 0, 0, 0]),
    ("unshare_later", libc::SYS_unshare, [0x20, 0, 0, 0]),
    ("socket_alg", libc::SYS_socket, [38, 5, 0, 0]),
    ("file_setattr", 469, [-1, 0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    ("uprobe", 336, [0; 4]),
    ("setns", libc::SYS_setns, [-1, 0, 0, 0]),
    ("fcntl", libc::SYS_fcntl, [-1, 3, 0, 0]),
    ("fcntl_setlease", libc::SYS_fcntl, [-1, 0x400, 0, 0]),
    ("fcntl_setlease_high", libc::SYS_fcntl, [-1, 0x1_0000_0400, 0, 0]),
    ("ioctl", libc::SYS_ioctl, [-1, 0x5401, 0, 0]),
    ("ioctl_tiocsti", libc::SYS_ioctl, [-1, 0x5412, 0, 0]),
    ("ioctl_tiocsti_high", libc::SYS_ioctl, [-1, 0x1_0000_5412, 0, 0]),
    ("ioctl_tioclinux", libc::SYS_ioctl, [-1, 0x541c, 0, 0]),
    ("mount", libc::SYS_mount, [0, 0, 0, 0]),
    ("umount2", libc::SYS_umount2, [0, 0, 0, 0]),
    ("pivot_root", libc::SYS_pivot_root, [0, 0, 0, 0]),
    ("open_tree", libc::SYS_open_tree, [-1, 0, 0, 0]),
    ("move_mount", libc::SYS_move_mount, [-1, 0, -1, 0]),
    ("fsopen", libc::SYS_fsopen, [0, 0, 0, 0]),
    ("mount_setattr", libc::SYS_mount_setattr, [-1, 0, 0, 0]),
    ("bpf", libc::SYS_bpf, [-1, 0, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [0, 0, -1, -1]),
    ("keyctl", libc::SYS_keyctl, [-1, 0, 0, 0]),
    ("add_key", libc::SYS_add_key, [0, 0, 0, 0]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [0, 0, 0, 0]),
    ("userfaultfd", libc::SYS_userfaultfd, [-1, 0, 0, 0]),
    ("init_module", libc::SYS_init_module, [0, 0, 0, 0]),
    ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, -1]),
    ("reboot", libc::SYS_reboot, [0, 0, 0, 0]),
    ("swapon", libc::SYS_swapon, [0, 0, 0, 0]),
    ("syslog", libc::SYS_syslog, [-1, 0, 0, 0]),
    ("settimeofday", libc::SYS_settimeofday, [1, 0, 0, 0]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, [-1, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, [-1, 0, 0, 0]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, [-1, 0, 0, 0]),
    ("acct", libc::SYS_acct, [1, 0, 0, 0]),
    ("quotactl", libc::SYS_quotactl, [-1, 0, 0, 0]),
    ("not_there", 1000, [0; 4]),
    ("minus_one", -1, [0; 4]),
    #[cfg(target_arch = "x86_64")]
    ("getppid_x32", 0x4000_0000 | libc::SYS_getppid, [0; 4]),
];

probe!("calls", |_| calls());
/// Makes every call of the table, and prints the answers.
pub fn calls() {
    for (name, number, [a, b, c, d]) in CALLS {
        // An int would leave half of the last argument, which is on the stack, to chance.
        // SAFETY: all pointers are null and all descriptors invalid: the kernel refuses them before it touches memory
        let result = unsafe { libc::syscall(*number, *a, *b, *c, *d, 0i64, 0i64) };
        if *name == "clone_signal" && result == 0 {
            // SAFETY: clone without CLONE_VM: the child has its own memory
            unsafe { libc::_exit(0) };
        }
        let answer = call_result(result);
        println!("{name} {answer}");
    }
}

probe!("foreign-call", |_| foreign_call());
/// A call of the 32-bit architecture that this machine also supports.
pub fn foreign_call() -> i32 {
    #[cfg(target_arch = "x86_64")]
    {
        let result: i32;
        // SAFETY: getpid of i386 takes no arguments
        unsafe { std::arch::asm!("int 0x80", inlateout("eax") 20 => result, options(nostack)) };
        println!("{result}");
        0
    }
    #[cfg(not(target_arch = "x86_64"))]
    77
}

probe!("way-out", |words| way_out(words.text(0), words.text(1)));
/// Tries one way out, and prints the result. `folder` is a writable directory.
pub fn way_out(way: &str, folder: &str) {
    let path = |path: &str| CString::new(path).expect("no NUL");
    let null = std::ptr::null::<libc::c_char>();
    let inside = format!("{folder}/escape-{way}");
    // SAFETY: getppid takes no arguments
    let process = if way.ends_with("-of-1") { 1 } else { unsafe { libc::getppid() } };
    // SAFETY: the strings live as long as the calls; null is passed only where the kernel accepts it
    let result = unsafe {
        match way {
            "raise-limit" => return raise_limit(),
            "leave-group" => return leave_group(),
            "disk" => i64::from(libc::mknod(path(&inside).as_ptr(), libc::S_IFBLK | 0o600, libc::makedev(7, 0))),
            "memory" => i64::from(libc::mknod(path(&inside).as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 1))),
            "mount" => {
                let (target, kind) = (path(folder), path("tmpfs"));
                i64::from(libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, null.cast()))
            }
            "remount" => {
                let (flags, target) = (libc::MS_REMOUNT | libc::MS_BIND, path("/sys"));
                i64::from(libc::mount(null.cast(), target.as_ptr(), null.cast(), flags, null.cast()))
            }
            "unmount" => i64::from(libc::umount2(path("/proc").as_ptr(), libc::MNT_DETACH)),
            "namespace" | "namespace-of-1" => match fs::File::open(format!("/proc/{process}/ns/uts")) {
                Err(error) => return println!("{}", result_name(Err(error))),
                Ok(file) => {
                    use std::os::fd::AsRawFd;
                    i64::from(libc::setns(file.as_raw_fd(), 0))
                }
            },
            "trace-parent" => {
                let parent = libc::getppid();
                let result = libc::ptrace(libc::PTRACE_ATTACH, parent, 0, 0);
                if result == 0 {
                    libc::waitpid(parent, &mut 0, libc::__WALL);
                    libc::ptrace(libc::PTRACE_DETACH, parent, 0, 0);
                }
                result
            }
            "root-of-parent" | "root-of-1" => {
                return println!("{}", result_name(fs::read_dir(format!("/proc/{process}/root")).map(drop)));
            }
            _ => panic!("no escape is called {way}"),
        }
    };
    let answer = call_result(result);
    fs::remove_file(&inside).ok();
    println!("{answer}");
}

/// Every mount point of a cgroup filesystem, as this process sees it.
fn cgroups() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let is_cgroup = |line: &&str| line.contains(" - cgroup cgroup ") || line.contains(" - cgroup2 ");
    // mountinfo writes a blank as \\040.
    let point = |line: &str| line.split(' ').nth(4).unwrap_or_default().replace("\\040", " ");
    mounts.lines().filter(is_cgroup).map(point).collect()
}

/// Prints one answer for every file that could be opened for writing if it were not read-only.
fn try_files(names: &[&str], text: &str) {
    let mut tried = 0;
    for point in cgroups() {
        let mut directories = vec![point.clone()];
        if let Ok(entries) = fs::read_dir(&point) {
            directories.extend(entries.flatten().filter(|e| e.path().is_dir()).map(|e| e.path().display().to_string()));
        }
        for file in directories.iter().flat_map(|directory| names.iter().map(move |name| format!("{directory}/{name}")))
        {
            if fs::metadata(&file).is_ok() {
                tried += 1;
                println!(
                    "{}",
                    result_name(fs::OpenOptions::new().write(true).open(&file).and_then(|mut file| {
                        use std::io::Write;
                        file.write_all(text.as_bytes())
                    }))
                );
            }
        }
    }
    println!("tried {tried}");
}

fn raise_limit() {
    let points = cgroups();
    // A test may write only to the container's own files.
    let v1 = points.iter().map(|point| format!("{point}/memory.limit_in_bytes"));
    let v2 = points.iter().map(|point| format!("{point}/memory.max"));
    let mut tried = 0;
    for (file, text) in v1.map(|file| (file, "-1")).chain(v2.map(|file| (file, "max"))) {
        let own = fs::read_to_string(&file).is_ok_and(|limit| limit.trim() == "104857600");
        if own {
            tried += 1;
            println!("{}", result_name(fs::write(&file, text)));
        }
    }
    println!("tried {tried}");
}

fn leave_group() {
    // Opening is enough: a successful test does not move any process, because an empty write has no effect.
    try_files(&["tasks", "cgroup.procs"], "");
}

probe!("overwrite-exe", |words| overwrite(words.text(0)));
/// Opens the file that PID 1, or the parent, is running, and tries to write to it. Then leaves a process that keeps
/// trying.
pub fn overwrite(pid: &str) {
    // SAFETY: getppid takes no arguments
    let pid = if pid == "parent" { unsafe { libc::getppid() }.to_string() } else { pid.to_string() };
    let file = format!("/proc/{pid}/exe");
    println!("write {}", result_name(fs::OpenOptions::new().write(true).open(&file).map(drop)));
    match fs::File::open(&file) {
        Err(error) => println!("read {}", result_name(Err(error))),
        Ok(held) => {
            use std::os::fd::AsRawFd;
            let again = format!("/proc/self/fd/{}", held.as_raw_fd());
            let write = || fs::OpenOptions::new().write(true).open(&again);
            println!("again {}", result_name(write().map(drop)));
            // SAFETY: this process has one thread; the child opens and writes
            if unsafe { libc::fork() } == 0 {
                // SAFETY: setsid takes no arguments
                unsafe { libc::setsid() };
                for _ in 0..200_000 {
                    if let Ok(mut file) = write() {
                        use std::io::Write;
                        file.write_all(b"overwritten").expect("write");
                    }
                }
                // SAFETY: _exit takes an integer
                unsafe { libc::_exit(0) };
            }
        }
    }
}

probe!("threads", |words| threads(words.number(0)));
/// Starts threads that all do something, and joins them.
pub fn threads(count: usize) {
    let threads: Vec<_> = (0..count).map(|n| std::thread::spawn(move || n * n)).collect();
    println!("{}", threads.into_iter().map(|thread| thread.join().expect("a thread")).sum::<usize>());
}

probe!("getppid", |words| getppid(words.number(0)));
/// The nanoseconds that one getppid takes, in the fastest of several loops.
pub fn getppid(rounds: usize) {
    let mut best = u128::MAX;
    for _ in 0..10 {
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            // SAFETY: getppid takes no arguments
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        best = best.min(start.elapsed().as_nanos());
    }
    println!("{}", best as f64 / rounds as f64);
}

probe!("as-user", |words| as_user(words.rest));
/// Becomes another user, and then executes another program.
pub fn as_user(words: &[std::ffi::OsString]) {
    use std::os::unix::process::CommandExt;
    let id: u32 = words[0].to_str().and_then(|word| word.parse().ok()).expect("a number");
    // SAFETY: setgid and setuid take integers
    assert_eq!(unsafe { (libc::setgid(id), libc::setuid(id)) }, (0, 0), "setgid and setuid");
    panic!("{}", std::process::Command::new(&words[1]).args(&words[2..]).exec());
}
