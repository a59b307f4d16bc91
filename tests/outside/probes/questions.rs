//! One probe that answers many questions in one run: for tables, each row of which is an assertion.

use crate::probes::root::{errno_name, what_is};
use crate::support::roots::{has_option, mount_at};
use std::ffi::{CString, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

probe!("ask", |words| ask(words.rest));
/// Answers each word, a question such as `see /dev/null`, on a line of its own. A line feed in an answer is a blank.
fn ask(questions: &[OsString]) {
    for question in questions {
        let question = question.to_str().expect("UTF-8");
        let (verb, about) = question.split_once(' ').unwrap_or((question, ""));
        println!("{}", answer(verb, about).trim_end().replace(['\n', '\t'], " "));
    }
}

fn answer(verb: &str, about: &str) -> String {
    match verb {
        // What is there, who owns it, what is in it.
        "see" => String::from_utf8(what_is(about.as_ref())).expect("UTF-8"),
        "owner" => fs::metadata(about).map_or_else(|e| errno_name(&e), |file| format!("{}:{}", file.uid(), file.gid())),
        "read" => fs::read_to_string(about).unwrap_or_else(|error| errno_name(&error)),
        "list" => names(about),
        "contains" => {
            let (path, text) = about.split_once(' ').expect("a path and a text");
            if fs::read_to_string(path).is_ok_and(|all| all.contains(text)) { "yes" } else { "no" }.into()
        }
        // The visible mount at a path: its type, one option of it or of its filesystem, and how many are there.
        "type" => mount(about, |line| line.split(" - ").nth(1).unwrap_or_default().split(' ').next().map(String::from)),
        "option" => {
            let (path, option) = about.split_once(' ').expect("a path and an option");
            mount(path, |line| {
                let of_filesystem = line.rsplit(' ').next().unwrap_or_default();
                let there = has_option(line, option) || of_filesystem.split(',').any(|word| word == option);
                Some(if there { "yes" } else { "no" }.into())
            })
        }
        "mounts" => lines_at(about).to_string(),
        // What the kernel says to an attempt. What could be made is removed again.
        "write" => result(OpenOptions::new().write(true).open(about).map(drop)),
        "append" => {
            result(OpenOptions::new().append(true).open(about).and_then(|mut file| file.write_all(b"appended\n")))
        }
        "make" => {
            result(OpenOptions::new().write(true).create_new(true).open(about).and_then(|_| fs::remove_file(about)))
        }
        "mkdir" => result(fs::create_dir(about).and_then(|()| fs::remove_dir(about))),
        "remove" => result(fs::remove_file(about)),
        "chmod" => result(fs::set_permissions(about, fs::Permissions::from_mode(0o755))),
        "rename" => result(fs::rename(about, format!("{about}.new"))),
        "mknod" => result(mknod(about).and_then(|()| fs::remove_file(about))),
        "umount" => result(call(|| {
            let path = CString::new(about).expect("no NUL");
            // SAFETY: a CString is NUL-terminated and outlives the call
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }
        })),
        // A script whose interpreter is missing, so that it is not executed anyway.
        "program" => {
            let file = format!("{about}/program");
            let made = fs::write(&file, "#!/no/such\n")
                .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)));
            result(made.and_then(|()| Err(std::process::Command::new(&file).exec())))
        }
        "execute" => result(std::process::Command::new(about).args(["--probe", "status", "0"]).status().map(drop)),
        // SAFETY: the path is a C string literal
        "chroot" => result(call(|| unsafe { libc::chroot(c"/".as_ptr()) })),
        "lower-lo" => result(lower_lo()),
        // SAFETY: setuid takes an integer; the child ends here
        "setuid" => result(in_child(|| call(|| unsafe { libc::setuid(7) }))),
        // The process itself.
        "status" => own("/proc/self/status", |line| line.strip_prefix(about)?.strip_prefix(":\t").map(String::from)),
        "limit" => own("/proc/self/limits", |line| {
            let mut words = line.strip_prefix(about)?.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        }),
        "variable" => variables(about).pop().unwrap_or("unset".into()),
        "times" => variables(about).len().to_string(),
        "groups" => own("/proc/self/status", |line| line.strip_prefix("Groups:\t").map(String::from)),
        // SAFETY: isatty takes an integer
        "terminal" => if unsafe { libc::isatty(about.parse().expect("a number")) } == 1 { "yes" } else { "no" }.into(),
        "folder" => std::env::current_dir().expect("getcwd").display().to_string(),
        "hostname" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        _ => panic!("no question begins with {verb:?}"),
    }
}

fn result(result: io::Result<()>) -> String {
    result.map_or_else(|error| errno_name(&error), |()| "ok".into())
}

fn call(call: impl FnOnce() -> i32) -> io::Result<()> {
    if call() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn names(folder: &str) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return "none".into() };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
    names.sort();
    names.join(" ")
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("mountinfo")
}

fn lines_at(path: &str) -> usize {
    mounts().lines().filter(|line| line.split(' ').nth(4) == Some(path)).count()
}

fn mount(path: &str, of: impl FnOnce(&str) -> Option<String>) -> String {
    if lines_at(path) == 0 {
        return "no mount".into();
    }
    of(mount_at(&mounts(), path)).expect("a line of mountinfo")
}

fn own(file: &str, find: impl Fn(&str) -> Option<String>) -> String {
    fs::read_to_string(file).expect("a file of /proc").lines().find_map(find).expect("the line")
}

/// The values of each variable of this name, as execve was given them.
fn variables(name: &str) -> Vec<String> {
    let all = fs::read("/proc/self/environ").expect("environ");
    let of_this_name =
        |pair: &[u8]| Some(String::from_utf8_lossy(pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?).into());
    all.split(|byte| *byte == 0).filter_map(of_this_name).collect()
}

fn mknod(path: &str) -> io::Result<()> {
    let path = CString::new(path).expect("no NUL");
    // SAFETY: a CString is NUL-terminated and outlives the call
    call(|| unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 3)) })
}

/// Takes lo down and up again.
fn lower_lo() -> io::Result<()> {
    const SIOCGIFFLAGS: u64 = 0x8913;
    const SIOCSIFFLAGS: u64 = 0x8914;
    // SAFETY: the ioctls read and fill one struct ifreq of this frame; the socket is closed
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        // The C libraries do not agree on the type of a request.
        let ioctl = |number: u64, request: *mut libc::ifreq| {
            call(|| libc::syscall(libc::SYS_ioctl, socket, number, request) as i32)
        };
        let was = ioctl(SIOCGIFFLAGS, &raw mut request);
        let up = request.ifr_ifru.ifru_flags;
        request.ifr_ifru.ifru_flags = up & !(libc::IFF_UP as libc::c_short);
        let down = ioctl(SIOCSIFFLAGS, &raw mut request);
        request.ifr_ifru.ifru_flags = up;
        let again = ioctl(SIOCSIFFLAGS, &raw mut request);
        libc::close(socket);
        was.and(down).and(again)
    }
}

/// What a call in a child of this process gives: the attempt changes the child alone.
fn in_child(attempt: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    // SAFETY: the closure makes one system call
    let status = unsafe {
        std::process::Command::new("/proc/self/exe").args(["--probe", "status", "0"]).pre_exec(attempt).status()
    };
    status.map(drop)
}
