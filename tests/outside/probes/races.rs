//! A neighbour that changes a root while mydocker mounts in it, and what came of that, seen from inside.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, fstatfs, openat, renameat_with, statat};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What the neighbour exchanges, and with what.
pub const SWAPPED: [(&str, &str); 3] = [("proc", "proc-other"), ("sys", "sys-other"), ("dev", "dev-other")];

probe!("swap", |words| swap(words.text(0)));
/// Exchanges /proc, /sys and /dev of a root with something else, again and again, until it is killed.
fn swap(root: &str) {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("the root");
    println!("ready");
    let mut pauses = (0u64..).map(|turn| (turn * 7919) % 613);
    loop {
        for (name, other) in SWAPPED {
            renameat_with(&root, name, &root, other, RenameFlags::EXCHANGE).expect("rename");
        }
        std::thread::sleep(Duration::from_micros(pauses.next().unwrap_or_default()));
    }
}

probe!("after-swaps", |_| after_swaps());
/// What is wrong with /proc, /sys and /dev, which the neighbour still exchanges: one line each, or `right`.
fn after_swaps() {
    let mut wrong = Vec::new();
    let can_be_written = |dir: &OwnedFd, name: &str| openat(dir, name, OFlags::WRONLY, Mode::empty()).is_ok();
    match find(SWAPPED[0], 0x9fa0) {
        None => wrong.push("no /proc"),
        Some(proc) => {
            for (name, complaint) in
                [("sys/kernel/core_pattern", "core_pattern"), ("sysrq-trigger", "sysrq-trigger"), ("irq/.", "irq")]
            {
                if can_be_written(&proc, name) {
                    wrong.push(complaint);
                }
            }
            let is_null = |name| {
                statat(&proc, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|status| status.st_rdev == rustix::fs::makedev(1, 3))
            };
            for name in ["interrupts", "kcore", "keys", "timer_list"] {
                if openat(&proc, name, OFlags::RDONLY, Mode::empty()).is_ok() && !is_null(name) {
                    wrong.push(name);
                }
            }
        }
    }
    match find(SWAPPED[1], 0x6265_6572) {
        None => wrong.push("no /sys"),
        Some(sys) if can_be_written(&sys, "kernel/uevent_helper") => wrong.push("uevent_helper"),
        Some(sys) => {
            let mut firmware = openat(&sys, "firmware", OFlags::RDONLY, Mode::empty()).map(rustix::fs::Dir::new);
            let has_entries = |dir: &mut rustix::fs::Dir| {
                dir.any(|entry| entry.is_ok_and(|entry| !entry.file_name().to_bytes().starts_with(b".")))
            };
            if let Ok(Ok(dir)) = &mut firmware
                && has_entries(dir)
            {
                wrong.push("firmware");
            }
        }
    }
    match find(SWAPPED[2], 0x0102_1994) {
        None => wrong.push("no /dev"),
        Some(dev) => {
            for name in ["null", "zero", "full", "random", "urandom", "tty", "pts/ptmx"] {
                let is_node = |status: rustix::fs::Stat| status.st_mode & libc::S_IFMT == libc::S_IFCHR;
                if !statat(&dev, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_node) {
                    wrong.push(name);
                }
            }
        }
    }
    println!("{}", if wrong.is_empty() { "right".into() } else { wrong.join(" ") });
}

/// The directory of this type that has one of the two names.
fn find((name, other): (&str, &str), magic: i64) -> Option<OwnedFd> {
    for _ in 0..1000 {
        for name in [name, other] {
            let found = openat(CWD, format!("/{name}"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
            if let Ok(found) = found
                && fstatfs(&found).is_ok_and(|status| status.f_type == magic)
            {
                return Some(found);
            }
        }
    }
    None
}
