//! Probes that do something: exit with a status, wait, make processes, use memory and processor time.

use crate::probes::line;
use crate::probes::own_mounts::mount_tmpfs;
use crate::probes::terminal::make_no_lines;
use std::fs;
use std::io::Read;

probe!("status", |words| words.number(0) as i32);

probe!("kill-self", |words| {
    // SAFETY: getpid takes no arguments, kill two integers
    unsafe { libc::kill(libc::getpid(), words.number(0) as i32) };
});

probe!("kill-group", |words| kill_group(words.number(0) as i32));
/// Sends a signal to its own process group, and exits with 7 if it outlives that.
fn kill_group(signal: i32) -> i32 {
    // SAFETY: kill takes two integers
    unsafe { libc::kill(0, signal) };
    7
}

probe!("undying", |words| undying(words.text(0)));
/// With a child: both clear their death signals and ignore what can be ignored. Then it writes the file, and both stay.
fn undying(mark: &str) {
    // SAFETY: this process has one thread; the calls take integers
    unsafe {
        let is_parent = libc::fork() > 0;
        assert_eq!(libc::prctl(libc::PR_SET_PDEATHSIG, 0), 0, "prctl");
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_IGN);
        }
        if is_parent {
            fs::write(mark, b"ready").expect("write");
        } else {
            libc::setsid();
        }
        loop {
            libc::pause();
        }
    }
}

probe!("touch", |words| fs::write(words.text(0), b"was here").expect("write"));

probe!("echo", |_| {
    std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("copy");
});

probe!("hold", |_| hold());
/// Prints `ready`, and stays until the end of its standard input.
fn hold() {
    line(&[b"ready"]);
    let mut block = [0; 64];
    while std::io::stdin().read(&mut block).expect("read") > 0 {}
}

probe!("hold-without-lines", |_| {
    make_no_lines();
    hold();
});

probe!("mount", |words| {
    mount_tmpfs(words.text(0));
    hold();
});

probe!("fork", |words| fork(words.number(0), |count| println!("{count}")));
probe!("fork-then-hold", |words| fork(words.number(0), |_| hold()));
/// Forks up to `count` children that wait until `act` is done, which gets to know how many forks succeeded.
fn fork(count: usize, act: impl FnOnce(usize)) {
    let mut pids = Vec::new();
    while pids.len() < count {
        // SAFETY: this process has one thread; the child calls nothing but pause
        match unsafe { libc::fork() } {
            -1 => break,
            0 => loop {
                // SAFETY: pause takes no arguments
                unsafe { libc::pause() };
            },
            pid => pids.push(pid),
        }
    }
    act(pids.len());
    for pid in pids {
        // SAFETY: the pids are those of our own children, which are not reaped yet
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

probe!("eat", |words| eat(words.number(0)));
/// Allocates this many bytes of memory and writes to each page.
fn eat(bytes: usize) {
    // SAFETY: the mapping is new, and all writes stay within its length
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0).cast::<u8>();
        assert_ne!(memory.cast(), libc::MAP_FAILED, "mmap");
        for at in (0..bytes).step_by(4096) {
            memory.add(at).write_volatile(1);
        }
    }
}

probe!("eat-then-hold", |words| {
    eat(words.number(0));
    hold();
});

probe!("child-eats", |words| child_eats(words.number(0)));
/// Lets a child of its own allocate memory, and reports with its exit status how the child ended: 128 + signal, or its
/// status.
fn child_eats(bytes: usize) -> i32 {
    // SAFETY: this process has one thread
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        eat(bytes);
        // SAFETY: _exit takes an integer
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waitpid writes to a variable of this frame
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid, "waitpid");
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

probe!("burn", |words| burn(words.number(0)));
/// Uses this many milliseconds of processor time.
fn burn(milliseconds: usize) {
    use rustix::time::{ClockId, clock_gettime};
    let used = || clock_gettime(ClockId::ProcessCPUTime);
    while used().tv_sec * 1000 + used().tv_nsec / 1_000_000 < milliseconds as i64 {}
}

probe!("leave-child", |_| leave_child());
/// Exits and leaves a process in another session, without our streams; prints its pid.
fn leave_child() {
    // SAFETY: this process has one thread; the child closes, leaves the session and waits for ever
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: the calls take integers
        unsafe {
            libc::setsid();
            (0..3).for_each(|descriptor| assert_eq!(libc::close(descriptor), 0));
            loop {
                libc::pause();
            }
        }
    }
    println!("{pid}");
}
