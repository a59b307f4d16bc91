//! Probes that do something: end with a status, wait, make processes, use memory and processor time.

use crate::probes::line;
use crate::probes::own_mounts::mount_tmpfs;
use crate::probes::terminal::make_no_lines;
use std::fs;
use std::io::Read;

probe!("status", |words| words.number(0) as i32);

probe!("kill-self", |words| {
    // SAFETY: numbers only
    unsafe { libc::kill(libc::getpid(), words.number(0) as i32) };
});

probe!("touch", |words| fs::write(words.text(0), b"was here").expect("write"));

probe!("echo", |_| {
    std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("copy");
});

probe!("hold", |_| hold());
/// Says that it is there, and stays until its standard input ends.
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

probe!("fork", |words| fork(words.number(0)));
/// Makes up to `count` children that wait, and prints how many there came to be.
fn fork(count: usize) {
    let mut pids = Vec::new();
    while pids.len() < count {
        // SAFETY: this process has one thread; the child calls nothing but pause
        match unsafe { libc::fork() } {
            -1 => break,
            0 => loop {
                // SAFETY: pause takes nothing
                unsafe { libc::pause() };
            },
            pid => pids.push(pid),
        }
    }
    println!("{}", pids.len());
    for pid in pids {
        // SAFETY: its own children, not yet reaped
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

probe!("eat", |words| eat(words.number(0)));
/// Takes this many bytes of memory and writes to each page.
fn eat(bytes: usize) {
    // SAFETY: a new mapping, as large as what is then written to
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
/// Has a child of its own eat, and says with its status how the child ended: 128 + signal, or its status.
fn child_eats(bytes: usize) -> i32 {
    // SAFETY: this process has one thread
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        eat(bytes);
        // SAFETY: takes a number
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: writes the status of our child to a live variable
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid, "waitpid");
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

probe!("burn", |words| burn(words.number(0)));
/// Spends this many milliseconds of processor time.
fn burn(milliseconds: usize) {
    use rustix::time::{ClockId, clock_gettime};
    let used = || clock_gettime(ClockId::ProcessCPUTime);
    while used().tv_sec * 1000 + used().tv_nsec / 1_000_000 < milliseconds as i64 {}
}

probe!("leave-child", |_| leave_child());
/// Ends and leaves a process of another session, without any stream of ours; prints its pid.
fn leave_child() {
    // SAFETY: this process has one thread; the child closes, leaves the session and waits for ever
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: numbers only
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
