//! The probes: what runs inside and says what it sees. Each prints plain lines, or acts and ends with a status that
//! says how it went. They run before any start-up of std's, so what they see is what mydocker gave them.

use crate::host::Host;
use crate::{probe_privilege, probe_root, probe_signals, probe_terminal};
use std::ffi::{CString, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Runs the probe that `words[2]` names, and gives its exit status.
pub fn run_and_flush(words: &[OsString]) -> i32 {
    let status = run(words);
    // Without std's own start-up there is nobody else to do it at the end.
    std::io::stdout().flush().expect("flush");
    status
}

fn run(words: &[OsString]) -> i32 {
    let name = words.get(2).and_then(|word| word.to_str()).unwrap_or_default();
    let rest = &words[3.min(words.len())..];
    let text = |at: usize| rest.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let number = |at: usize| text(at).parse::<usize>().expect("a number");
    match name {
        "status" => return number(0) as i32,
        // SAFETY: numbers only
        "kill-self" => drop(unsafe { libc::kill(libc::getpid(), number(0) as i32) }),
        "argv" => argv(words),
        "env" => std::env::vars_os().for_each(|(key, value)| line(&[key.as_bytes(), b"=", value.as_bytes()])),
        "folder" => line(&[std::env::current_dir().expect("getcwd").as_os_str().as_bytes()]),
        "hostname" => line(&[rustix::system::uname().nodename().to_bytes()]),
        // SAFETY: neither takes an argument, neither can fail
        "pids" => println!("{} {}", unsafe { libc::getpid() }, unsafe { libc::getppid() }),
        "namespaces" => namespaces(),
        "file" => std::io::stdout().write_all(&fs::read(text(0)).expect("read")).expect("write"),
        "list" => list(text(0)),
        "touch" => fs::write(text(0), b"was here").expect("write"),
        "interfaces" => return talk_to_ourselves(),
        "cpus" => cpus(),
        "fork" => fork(number(0)),
        "eat" => eat(number(0)),
        "hold" => hold(),
        "hold-without-lines" => {
            probe_terminal::make_no_lines();
            hold();
        }
        "echo" => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("copy")),
        "burn" => burn(number(0)),
        "eat-then-hold" => {
            eat(number(0));
            hold();
        }
        "limit" => print!("{}", limit(text(0), text(1))),
        "descriptors" => descriptors(text(0)),
        "mount" => {
            mount_tmpfs(text(0));
            hold();
        }
        "leave-child" => leave_child(),
        "child-eats" => return child_eats(number(0)),
        "signals" => probe_signals::show(),
        "catch" => return probe_signals::catch(rest),
        "wait-for" => return probe_signals::wait_for(number(0) as i32),
        "last-words" => return probe_signals::last_words(number(0)),
        "vfork" => probe_signals::vfork(number(0)),
        "fault" => probe_signals::fault(text(0)),
        "terminal" => probe_terminal::facts(),
        "size" => probe_terminal::size(text(0) == "follow"),
        "push" => probe_terminal::push(),
        "another" => probe_terminal::another(),
        "flood" => probe_terminal::flood(number(0)),
        "take" => probe_terminal::take(number(0), number(1)),
        "mirror" => probe_terminal::mirror(number(0)),
        "late" => return probe_terminal::late(text(0)),
        "reopen" => probe_terminal::reopen(),
        "deaf" => return probe_terminal::deaf(),
        "orphans" => probe_terminal::orphans(number(0)),
        "see" => probe_root::see(rest),
        "write" => probe_root::write(rest),
        "fill" => probe_root::fill(&rest[0]),
        "escape" => probe_root::escape(),
        "ids" => probe_root::ids(),
        "limits" => probe_root::limits(),
        "remove-everything" => probe_root::remove_everything(),
        "overwrite" => probe_root::overwrite(text(0)),
        "surroundings" => crate::dry_run::surroundings(rest),
        "calls" => probe_privilege::calls(),
        "foreign-call" => return probe_privilege::foreign_call(),
        "way-out" => probe_privilege::way_out(text(0), text(1)),
        "overwrite-exe" => probe_privilege::overwrite(text(0)),
        "threads" => probe_privilege::threads(number(0)),
        "getppid" => probe_privilege::getppid(number(0)),
        "as-user" => probe_privilege::as_user(rest),
        "whole-host" => return crate::mounts::whole_host(rest),
        _ => panic!("no probe is called {name:?}"),
    }
    0
}

/// Prints the parts and a newline, as bytes.
pub fn line(parts: &[&[u8]]) {
    let mut out = std::io::stdout().lock();
    parts.iter().for_each(|part| out.write_all(part).expect("write"));
    out.write_all(b"\n").expect("write");
    out.flush().expect("flush");
}

/// Says that it is there, and stays until its standard input ends.
fn hold() {
    line(&[b"ready"]);
    let mut block = [0; 64];
    while std::io::stdin().read(&mut block).expect("read") > 0 {}
}

/// Every word it was called with, in hexadecimal, one a line: no byte can be lost or made up.
fn argv(words: &[OsString]) {
    for word in words {
        let hex: String = word.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{hex}");
    }
}

/// The other way round, for the case that reads it.
pub fn words_of(printed: &str) -> Vec<OsString> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    printed.lines().map(|line| OsString::from_vec(line.as_bytes().chunks(2).map(byte).collect())).collect()
}

pub const NAMESPACES: [&str; 5] = ["uts", "pid", "mnt", "net", "ipc"];

fn namespaces() {
    for name in NAMESPACES {
        println!("{}", fs::read_link(format!("/proc/self/ns/{name}")).expect("readlink").display());
    }
}

pub fn list(folder: &str) {
    let mut names: Vec<OsString> = fs::read_dir(folder).expect("readdir").flatten().map(|e| e.file_name()).collect();
    names.sort();
    names.iter().for_each(|name| line(&[name.as_bytes()]));
}

/// The network interfaces, and whether a connection over 127.0.0.1 carries a byte.
fn talk_to_ourselves() -> i32 {
    let file = fs::read_to_string("/proc/self/net/dev").expect("/proc/self/net/dev");
    let names: Vec<&str> = file.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    println!("{}", names.join(" "));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut near = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (mut far, _) = listener.accept().expect("accept");
    near.write_all(b"x").expect("write");
    let mut byte = [0];
    far.read_exact(&mut byte).expect("read");
    i32::from(byte != *b"x")
}

fn cpus() {
    let set = rustix::thread::sched_getaffinity(None).expect("sched_getaffinity");
    let cpus: Vec<String> = (0..1024).filter(|&cpu| set.is_set(cpu)).map(|cpu| cpu.to_string()).collect();
    println!("{}", cpus.join(","));
}

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

/// Spends this many milliseconds of processor time.
fn burn(milliseconds: usize) {
    use rustix::time::{ClockId, clock_gettime};
    let used = || clock_gettime(ClockId::ProcessCPUTime);
    while used().tv_sec * 1000 + used().tv_nsec / 1_000_000 < milliseconds as i64 {}
}

/// The content of `file` in the group of this process for `controller`, found from inside.
fn limit(controller: &str, file: &str) -> String {
    let host = Host::look();
    let path = host.group(controller, std::process::id() as i32).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes every open descriptor and what it is into a file, since it may have no stream to print to.
fn descriptors(file: &str) {
    let mut found = String::new();
    for descriptor in 0..4096 {
        // SAFETY: F_GETFD takes no pointer
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0 {
            let target = fs::read_link(format!("/proc/self/fd/{descriptor}")).expect("readlink");
            found += &format!("{descriptor} {}\n", target.display());
        }
    }
    fs::write(file, found).expect("write");
}

pub fn mount_tmpfs(folder: &str) {
    use rustix::mount::{MountFlags, mount};
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None).expect("mount of a tmpfs");
}

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

/// A C string for acts between fork and exec, which may not allocate.
pub fn c_string(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}
