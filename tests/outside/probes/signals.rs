//! The probes about signals: their initial state, which of them arrive, and how a process is ended by one.

use crate::probes::line;
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

probe!("signals", |_| show());
/// Prints the mask, and which signals are ignored or caught, as the kernel reports them.
pub fn show() {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        let found = status.lines().find(|line| line.starts_with(field)).expect("a field of /proc/self/status");
        println!("{found}");
    }
}

static NOTE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note_signal(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: write is async-signal-safe and reads one byte from the stack
    unsafe { libc::write(NOTE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
}

probe!("catch", |words| catch(words.rest));
/// Treats each signal as its word says: `15` catches it, `i15` ignores it, `b15` blocks it and waits for it. Prints
/// `got N` for each that arrives, until its standard input ends; then exits with status 7.
pub fn catch(words: &[OsString]) -> i32 {
    let (notes, into) = rustix::pipe::pipe().expect("pipe");
    NOTE.store(into.as_raw_fd(), Ordering::Relaxed);
    // SAFETY: the sets live in this frame; the handler only writes a byte
    let waited = unsafe {
        let mut blocked = std::mem::zeroed();
        libc::sigemptyset(&mut blocked);
        for word in words {
            let word = word.to_str().expect("a signal");
            let (how, number) = word.split_at(word.len() - word.trim_start_matches(['i', 'b']).len());
            let number: i32 = number.parse().expect("a signal");
            match how {
                "i" => drop(libc::signal(number, libc::SIG_IGN)),
                "b" => drop(libc::sigaddset(&mut blocked, number)),
                _ => drop(libc::signal(number, note_signal as *const () as libc::sighandler_t)),
            }
        }
        libc::sigprocmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut());
        libc::signalfd(-1, &blocked, libc::SFD_CLOEXEC)
    };
    assert!(waited >= 0, "signalfd");
    line(&[b"ready"]);
    loop {
        let mut polled = [0, notes.as_raw_fd(), waited].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array has three entries
        if unsafe { libc::poll(polled.as_mut_ptr(), 3, -1) } < 0 {
            continue;
        }
        let mut block = [0u8; 128];
        let mut read = |fd: i32| {
            // SAFETY: read writes at most as many bytes as the block has
            unsafe { libc::read(fd, block.as_mut_ptr().cast(), block.len()) }
        };
        if polled[1].revents != 0 {
            let count = read(polled[1].fd);
            block[..count.max(0) as usize].iter().for_each(print_signal);
        } else if polled[2].revents != 0 {
            read(polled[2].fd);
            print_signal(&block[0]);
        } else if read(0) <= 0 {
            line(&[b"end"]);
            return 7;
        }
    }
}

probe!("wait-for", |words| wait_for(words.number(0) as i32));
/// Waits for one signal with sigtimedwait(2), as init programs do: meanwhile the kernel shows the signal as not
/// blocked.
pub fn wait_for(signal: i32) -> i32 {
    // SAFETY: the set lives in this frame
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        line(&[b"ready"]);
        print_signal(&(libc::sigwaitinfo(&set, std::ptr::null_mut()) as u8));
    }
    7
}

probe!("vfork", |words| vfork(words.number(0)));
/// Waits as vfork(2) does, for a child that lives for this many milliseconds, again and again. A stop signal does not
/// interrupt that wait.
pub fn vfork(milliseconds: usize) {
    extern "C" fn child(milliseconds: *mut libc::c_void) -> libc::c_int {
        let time = libc::timespec { tv_sec: 0, tv_nsec: milliseconds.addr() as i64 * 1_000_000 };
        // SAFETY: nanosleep reads one struct timespec of this frame
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) }
    }
    let mut stack = vec![0u128; 4096];
    line(&[b"ready"]);
    loop {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the child has a stack of its own, and ends before this thread continues
        let child = unsafe {
            let top = stack.as_mut_ptr_range().end.cast();
            libc::clone(child, top, flags, std::ptr::without_provenance_mut(milliseconds))
        };
        assert!(child > 0, "clone");
        // SAFETY: waitpid accepts a null pointer for the status
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child, "waitpid");
    }
}

probe!("last-words", |words| write_before_exit(words.number(0)));
/// Waits for a SIGTERM, and then writes this many bytes.
pub fn write_before_exit(count: usize) -> i32 {
    // SAFETY: the set lives in this frame
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        line(&[b"ready"]);
        libc::sigwaitinfo(&set, std::ptr::null_mut());
    }
    crate::probes::terminal::flood(count);
    7
}

fn print_signal(signal: &u8) {
    line(&[format!("got {signal}").as_bytes()]);
}

probe!("fault", |words| fault(words.text(0)));
/// Ends by a fault, which also ends a PID 1: the kernel ignores faults for no process.
pub fn fault(name: &str) {
    // SAFETY: none of this is sound: the purpose is to be killed by a signal
    unsafe {
        match name {
            "segv" => {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0);
                page.cast::<u8>().read_volatile();
            }
            "bus" => {
                // A page beyond the end of the mapped file.
                let file = rustix::fs::memfd_create("empty", rustix::fs::MemfdFlags::empty()).expect("memfd_create");
                let null = std::ptr::null_mut();
                let page = libc::mmap(null, 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
                page.cast::<u8>().read_volatile();
            }
            #[cfg(target_arch = "x86_64")]
            "ill" => std::arch::asm!("ud2"),
            #[cfg(target_arch = "x86_64")]
            "trap" => std::arch::asm!("int3"),
            #[cfg(target_arch = "aarch64")]
            "ill" => std::arch::asm!("udf #0"),
            #[cfg(target_arch = "aarch64")]
            "trap" => std::arch::asm!("brk #0"),
            _ => panic!("no fault is called {name:?}"),
        }
    }
}
