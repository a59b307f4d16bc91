//! Probes that print what the command was given: its words, its environment, its namespaces, its limits.

use crate::probes::line;
use crate::support::host::Host;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

probe!("argv", |words| argv(words.line));
/// Every word that it was called with, in hexadecimal, one per line: no byte can be lost or invented.
fn argv(words: &[OsString]) {
    for word in words {
        let hex: String = word.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{hex}");
    }
}

/// The inverse, for the case that reads the output.
pub fn words_of(printed: &str) -> Vec<OsString> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    printed.lines().map(|line| OsString::from_vec(line.as_bytes().chunks(2).map(byte).collect())).collect()
}

probe!("env", |_| std::env::vars_os().for_each(|(key, value)| line(&[key.as_bytes(), b"=", value.as_bytes()])));

probe!("folder", |_| line(&[std::env::current_dir().expect("getcwd").as_os_str().as_bytes()]));

probe!("hostname", |_| line(&[rustix::system::uname().nodename().to_bytes()]));

// SAFETY: neither call takes an argument, neither can fail
probe!("pids", |_| println!("{} {}", unsafe { libc::getpid() }, unsafe { libc::getppid() }));

pub const NAMESPACES: [&str; 5] = ["uts", "pid", "mnt", "net", "ipc"];

probe!("namespaces", |_| namespaces());
fn namespaces() {
    for name in NAMESPACES {
        println!("{}", fs::read_link(format!("/proc/self/ns/{name}")).expect("readlink").display());
    }
}

probe!("file", |words| std::io::stdout().write_all(&fs::read(words.text(0)).expect("read")).expect("write"));

probe!("limit-seen", |words| limit_seen(words.text(0), words.text(1), words.text(2)));
/// A limit as the JVM finds it: by the first line of mountinfo that carries the controller, and by the path of the process in
/// that hierarchy, as far as it is below the root of the mount. Prints how many such lines there are, whether that mount is
/// read-only, its root, and the limit; `v1` and `v2` are the names of the file.
fn limit_seen(controller: &str, v1: &str, v2: &str) {
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let line = |name: &str| {
        own.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>()).find(|f| f[1].split(',').any(|c| c == name))
    };
    let (fields, is_v1) = match line(controller) {
        Some(fields) => (fields, true),
        None => (line("").expect("a line of v2"), false),
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let found: Vec<(Vec<&str>, Vec<&str>)> = mounts
        .lines()
        .filter_map(|line| line.split_once(" - "))
        .map(|(left, right)| (left.split(' ').collect(), right.split(' ').collect::<Vec<_>>()))
        .filter(|(_, right)| match is_v1 {
            true => right[0] == "cgroup" && right[2].split(',').any(|option| option == controller),
            false => right[0] == "cgroup2",
        })
        .collect();
    let Some((first, _)) = found.first() else { return println!("0") };
    // The kernel escapes a blank.
    let (root, point) = (first[3], first[4].replace("\\040", " "));
    let below = fields[2].strip_prefix(root).unwrap_or(fields[2]).trim_matches('/');
    let file = std::path::Path::new(&point).join(below).join(if is_v1 { v1 } else { v2 });
    let limit = fs::read_to_string(&file).unwrap_or_else(|e| format!("{}: {e}", file.display()));
    println!("{} {} {root} {}", found.len(), first[5].split(',').next().unwrap_or_default(), limit.trim());
}

probe!("list", |words| list(words.text(0)));
pub fn list(folder: &str) {
    let mut names: Vec<OsString> = fs::read_dir(folder).expect("readdir").flatten().map(|e| e.file_name()).collect();
    names.sort();
    names.iter().for_each(|name| line(&[name.as_bytes()]));
}

probe!("interfaces", |_| talk_to_ourselves());
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

probe!("cpus", |_| cpus());
fn cpus() {
    let set = rustix::thread::sched_getaffinity(None).expect("sched_getaffinity");
    let cpus: Vec<String> = (0..1024).filter(|&cpu| set.is_set(cpu)).map(|cpu| cpu.to_string()).collect();
    println!("{}", cpus.join(","));
}

probe!("limit", |words| print!("{}", limit(words.text(0), words.text(1))));
probe!("group-limits", |words| (0..words.rest.len() / 2)
    .for_each(|at| print!("{}", limit(words.text(2 * at), words.text(2 * at + 1)))));
/// The content of `file` in this process's cgroup for `controller`, found from inside.
fn limit(controller: &str, file: &str) -> String {
    let host = Host::inspect();
    let path = host.group(controller, std::process::id() as i32).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

probe!("descriptors", |words| descriptors(words.text(0)));
/// Writes every open descriptor and its target into a file, because the probe may have no stream to print to.
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
