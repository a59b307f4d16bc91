//! Probes for the container's own root: what files are, whether they can be written to, and the user of the command.

use crate::probes::line;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

probe!("identity", |words| identity(words.rest));
/// The device and the number of what is at each path. A file that has no other name keeps them when it changes.
pub fn identity(paths: &[OsString]) {
    for path in paths {
        let status = || fs::metadata(path).expect("stat");
        let before = status();
        fs::set_permissions(path, before.permissions()).expect("chmod");
        let after = status();
        println!("{} {}", before.dev(), before.ino());
        if before.is_dir() || before.nlink() == 1 {
            assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()), "{}", path.display());
        }
    }
}

probe!("see", |words| see(words.rest));
/// What is at each path, one per line: `file 644`, `folder 755`, `char 1:3 666`, `fifo 644`, `socket 755`, `link TARGET`, or the
/// errno.
pub fn see(paths: &[OsString]) {
    paths.iter().for_each(|path| line(&[&what_is(path)]));
}

pub fn what_is(path: &OsStr) -> Vec<u8> {
    let status = match fs::symlink_metadata(path) {
        Ok(status) => status,
        Err(error) => return errno_name(&error).into(),
    };
    let (kind, mode) = (status.file_type(), status.mode() & 0o7777);
    let (major, minor) = (libc::major(status.rdev()), libc::minor(status.rdev()));
    if kind.is_symlink() {
        [b"link ", fs::read_link(path).expect("readlink").as_os_str().as_bytes()].concat()
    } else if kind.is_dir() {
        format!("folder {mode:o}").into()
    } else if kind.is_char_device() {
        format!("char {major}:{minor} {mode:o}").into()
    } else if kind.is_block_device() {
        format!("block {major}:{minor} {mode:o}").into()
    } else if kind.is_fifo() {
        format!("fifo {mode:o}").into()
    } else if kind.is_socket() {
        format!("socket {mode:o}").into()
    } else {
        format!("file {mode:o}").into()
    }
}

pub fn errno_name(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "ENOENT".into(),
        Some(libc::EROFS) => "EROFS".into(),
        Some(libc::EACCES) => "EACCES".into(),
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::ENOSPC) => "ENOSPC".into(),
        Some(libc::ETXTBSY) => "ETXTBSY".into(),
        Some(libc::ENXIO) => "ENXIO".into(),
        Some(libc::EBUSY) => "EBUSY".into(),
        Some(libc::EEXIST) => "EEXIST".into(),
        other => format!("errno {other:?}"),
    }
}

probe!("write", |words| write(words.rest));
/// Writes to each path, which is created if necessary; prints the result, one per line.
pub fn write(paths: &[OsString]) {
    for path in paths {
        match OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(b"written")) {
            Ok(()) => println!("ok"),
            Err(error) => println!("{}", errno_name(&error)),
        }
    }
}

probe!("fill", |words| fill(&words.rest[0]));
/// Writes to a file until that fails; prints the errno, and the number of bytes written.
pub fn fill(path: &OsString) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open");
    let block = [1u8; 65536];
    let mut written = 0;
    loop {
        match file.write(&block) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return println!("{} {written}", errno_name(&error)),
        }
    }
}

probe!("fill-and-hold", |words| {
    crate::probes::line(&[b"ready"]);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("read");
    fill(&words.rest[0]);
});

probe!("ids", |_| ids());
/// uid, gid and groups.
pub fn ids() {
    let groups: Vec<String> =
        rustix::process::getgroups().expect("getgroups").iter().map(|gid| gid.as_raw().to_string()).collect();
    println!("{} {} {}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw(), groups.join(","));
}

probe!("limits", |_| limits());
/// The soft and the hard limit on open files, and the umask.
pub fn limits() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let text = |value: Option<u64>| value.map_or("unlimited".into(), |n| n.to_string());
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    println!("{} {} {:o}", text(limit.current), text(limit.maximum), umask.as_raw_mode());
}

probe!("remove-everything", |_| remove_everything());
/// `rm -rf /`, as far as it succeeds, without the kernel's own filesystems.
pub fn remove_everything() {
    fn empty(folder: &std::path::Path) -> usize {
        let mut removed = 0;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if ["/proc", "/sys", "/dev"].iter().any(|kept| path == std::path::Path::new(kept)) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                removed += empty(&path) + usize::from(fs::remove_dir(&path).is_ok());
            } else {
                removed += usize::from(fs::remove_file(&path).is_ok());
            }
        }
        removed
    }
    println!("{}", empty(std::path::Path::new("/")));
}

probe!("overwrite", |words| overwrite(words.text(0)));
/// Tries to write to the file behind a link of /proc: first through the link, then through a descriptor of the file.
pub fn overwrite(link: &str) {
    let through = |path: &str| match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => match file.write_all(b"overwritten") {
            Ok(()) => "ok".into(),
            Err(error) => errno_name(&error),
        },
        Err(error) => errno_name(&error),
    };
    println!("{}", through(link));
    let held = fs::File::open(link).expect("open for reading");
    println!("{}", through(&format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held))));
}

probe!("escape", |_| escape());
/// The classic escape from a chroot; then lists the root directory.
pub fn escape() {
    climb();
    crate::probes::facts::list("/");
}

/// Makes what lies above everything its root.
pub fn climb() {
    let top = fs::File::open("/").expect("open");
    fs::create_dir("/x")
        .or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
        .expect("mkdir");
    rustix::process::chroot("/x").expect("chroot");
    rustix::process::fchdir(&top).expect("fchdir");
    for _ in 0..64 {
        rustix::process::chdir("..").expect("chdir");
    }
    rustix::process::chroot(".").expect("chroot");
}

probe!("open", |words| open(words.rest));
/// What opening each path for reading gives, one per line: `open`, or the errno.
pub fn open(paths: &[OsString]) {
    for path in paths {
        match fs::File::open(path) {
            Ok(_) => println!("open"),
            Err(error) => println!("{}", errno_name(&error)),
        }
    }
}
