//! The probes about terminals: which terminal it is, how large, and that data passes through it unchanged.

use crate::probes::line;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

probe!("terminal", |_| facts());
/// The streams, and what the kernel reports of the terminal that is standard input.
pub fn facts() {
    let target = |fd| fs::read_link(format!("/proc/self/fd/{fd}")).expect("readlink").display().to_string();
    println!("streams {} {} {}", target(0), target(1), target(2));
    let own = fs::metadata("/proc/self/fd/0").expect("stat");
    let stat = fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    let number: u64 =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4)).unwrap().parse().expect("tty_nr");
    // SAFETY: the calls take integers
    let (session, group) = unsafe { (libc::getsid(0) == libc::tcgetsid(0), libc::getpid() == libc::tcgetpgrp(0)) };
    println!("controlling {}", number == own.rdev());
    println!("session {session}");
    println!("foreground {group}");
    let mut names: Vec<_> =
        fs::read_dir("/dev/pts").expect("/dev/pts").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    println!("pts {names:?}");
    println!("device {}", own.dev());
    println!("tty {}", fs::File::open("/dev/tty").is_ok());
}

fn window_size() -> [u16; 4] {
    let mut size = [0; 4];
    // SAFETY: the ioctl fills one struct winsize, four u16
    assert_eq!(unsafe { libc::ioctl(0, libc::TIOCGWINSZ, size.as_mut_ptr()) }, 0, "TIOCGWINSZ");
    size
}

probe!("size", |words| size(words.text(0) == "follow"));
/// Reads the size first of all, and prints it; then again for each SIGWINCH until its standard input ends.
pub fn size(follow: bool) {
    let mut size = window_size();
    // SAFETY: the set lives in this frame, and the new descriptor has no other owner
    let changes = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGWINCH);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        OwnedFd::from_raw_fd(libc::signalfd(-1, &set, libc::SFD_CLOEXEC))
    };
    loop {
        line(&[format!("size {} {}.", size[0], size[1]).as_bytes()]);
        let mut polled = [0, changes.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let mut block = [0u8; 128];
        // SAFETY: the array has two entries; read writes at most as many bytes as the block has
        let ended = !follow
            || unsafe {
                libc::poll(polled.as_mut_ptr(), 2, -1);
                polled[1].revents == 0 || libc::read(polled[1].fd, block.as_mut_ptr().cast(), block.len()) <= 0
            };
        if ended {
            return;
        }
        size = window_size();
    }
}

probe!("push", |_| push());
/// Pushes a line into the input of every terminal that it can name: with TIOCSTI, and what is selected on a console
/// with TIOCLINUX; the kernel looks at 32 bits of either number. Prints the errno of each attempt, standard input
/// first.
pub fn push() {
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    let tty = fs::File::open("/dev/tty");
    let mut report = String::from("pushed");
    for fd in [0, 1, 2].into_iter().chain(tty.iter().map(|tty| tty.as_raw_fd())) {
        for request in [TIOCSTI, TIOCLINUX].into_iter().flat_map(|low| [low, low | 1 << 32]) {
            let paste = [3u8];
            let bytes = if request as u32 == TIOCLINUX as u32 { &paste[..] } else { b"x\n" };
            for byte in bytes {
                // SAFETY: the ioctl reads one byte, which lives as long as the call
                let pushed = unsafe { libc::syscall(libc::SYS_ioctl, fd, request, byte) };
                let error = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
                report += &format!(" {}", if pushed == 0 { 0 } else { error });
            }
        }
    }
    line(&[report.as_bytes(), b"."]);
}

probe!("another", |_| another());
/// Makes a pseudo-terminal of its own inside the container.
pub fn another() {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
    let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("openpt");
    unlockpt(&main).expect("unlockpt");
    let name = ptsname(&main, Vec::new()).expect("ptsname").into_string().expect("UTF-8");
    fs::OpenOptions::new().read(true).write(true).open(&name).expect("the other side");
    println!("{name}");
}

fn change_settings(change: impl FnOnce(&mut libc::termios)) {
    // SAFETY: the calls fill and read one struct termios
    unsafe {
        let mut termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(0, &mut termios), 0, "tcgetattr");
        change(&mut termios);
        assert_eq!(libc::tcsetattr(0, libc::TCSANOW, &termios), 0, "tcsetattr");
    }
}

fn be_raw() {
    // SAFETY: cfmakeraw changes one struct termios
    change_settings(|termios| unsafe { libc::cfmakeraw(termios) });
}

/// Turns off line mode, so that input is read byte by byte; all other settings stay.
pub fn make_no_lines() {
    change_settings(|termios| termios.c_lflag &= !libc::ICANON);
}

/// A generator of bytes of which no two stretches are alike, the same ones every time: lost, doubled or moved bytes
/// show. Each `fill` but the last must be of a multiple of 8 bytes, because the generator makes 8 at a time.
pub fn pattern() -> fastrand::Rng {
    fastrand::Rng::with_seed(1)
}

/// The first `count` bytes of the pattern.
pub fn pattern_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    pattern().fill(&mut bytes);
    bytes
}

probe!("flood", |words| flood(words.number(0)));
/// Writes this many bytes of the pattern.
pub fn flood(mut count: usize) {
    be_raw();
    let (mut pattern, mut block) = (pattern(), vec![0; 8 << 10]);
    let mut out = std::io::stdout();
    while count > 0 {
        let part = count.min(block.len());
        pattern.fill(&mut block[..part]);
        out.write_all(&block[..part]).expect("write");
        out.flush().expect("flush");
        count -= part;
    }
}

probe!("take", |words| take(words.number(0), words.number(1)));
/// Writes `first` bytes before it reads anything; then reads `count` bytes and prints whether they are the pattern.
pub fn take(first: usize, count: usize) {
    be_raw();
    line(&[b"ready"]);
    std::io::stdout().write_all(&vec![b'.'; first]).expect("write");
    std::io::stdout().flush().expect("flush");
    let mut taken = vec![0; count];
    std::io::stdin().read_exact(&mut taken).expect("read");
    line(&[if taken == pattern_bytes(count) { b"all there" } else { b"different" }]);
}

probe!("mirror", |words| mirror(words.number(0)));
/// Writes this many bytes back, as they arrive.
pub fn mirror(count: usize) {
    be_raw();
    line(&[b"ready"]);
    let mut taken = vec![0; count];
    std::io::stdin().read_exact(&mut taken).expect("read");
    std::io::stdout().write_all(&taken).expect("write");
}

probe!("late", |words| late(words.text(0)));
/// Exits with status 3, and leaves a process that has the terminal open and ignores its hangup: one that writes after
/// this many milliseconds, or that stays.
pub fn late(milliseconds: &str) -> i32 {
    // SAFETY: this process has one thread; the calls take integers
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        if libc::fork() == 0 {
            match milliseconds.parse::<u64>() {
                Ok(milliseconds) => std::thread::sleep(std::time::Duration::from_millis(milliseconds)),
                Err(_) => loop {
                    libc::pause();
                },
            }
            std::io::stdout().write_all(b"late\n").and_then(|()| std::io::stdout().flush()).ok();
            libc::_exit(0);
        }
    }
    line(&[b"early"]);
    3
}

probe!("deaf", |_| deaf());
/// Closes all its streams, waits for a moment, and exits with status 5.
pub fn deaf() -> i32 {
    // SAFETY: close takes an integer; nothing in this process writes any more
    (0..3).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
    std::thread::sleep(std::time::Duration::from_millis(200));
    5
}

probe!("reopen", |_| reopen());
/// Closes all its streams, and after a moment opens its terminal by name and talks to the user there.
pub fn reopen() {
    // SAFETY: close takes an integer; nothing here writes before the streams are open again
    (0..3).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
    std::thread::sleep(std::time::Duration::from_millis(100));
    for _ in 0..3 {
        // SAFETY: the path is a C string literal; open uses the lowest free number, so these are the streams
        assert!(unsafe { libc::open(c"/dev/tty".as_ptr(), libc::O_RDWR) } >= 0, "/dev/tty");
    }
    line(&[b"who?"]);
    let mut name = String::new();
    std::io::stdin().read_line(&mut name).expect("read");
    line(&[b"hello ", name.trim().as_bytes()]);
}

probe!("orphans", |words| orphans(words.number(0)));
/// Makes this many processes whose parent ends before they do, and prints how many of them are zombies in the end. Only
/// PID 1 can reap them: this process is not their parent.
pub fn orphans(count: usize) {
    for _ in 0..count {
        // SAFETY: this process has one thread, and so have its children
        unsafe {
            let parent = libc::fork();
            if parent == 0 {
                let own = libc::getpid();
                if libc::fork() == 0 {
                    while libc::getppid() == own {
                        libc::sched_yield();
                    }
                }
                libc::_exit(0);
            }
            assert_eq!(libc::waitpid(parent, std::ptr::null_mut(), 0), parent, "waitpid");
        }
    }
    let mut others = Vec::new();
    for _ in 0..200 {
        others.clear();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            if let Some(pid) = pid.filter(|&pid| pid != 1 && pid != std::process::id() as i32) {
                others.extend(crate::support::processes::state(pid));
            }
        }
        if others.iter().all(|state| *state == 'Z') && (others.is_empty() || others.len() == count) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("{} left", others.len());
}
