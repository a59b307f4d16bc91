//! Checks of the whole mount table, each a probe in a mount namespace of its own, so that no mistake reaches the host.

use crate::probes::{Words, check_on_host, run};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

/// Runs the probe `check` on the host, in a new mount namespace in which all mounts are `propagation`: `private` or
/// `shared`. A failed check is a panic of the probe.
pub fn in_own_mounts(propagation: &str, check: &str) {
    check_on_host(&["--probe", "in-own-mounts", propagation, check]);
}

probe!("in-own-mounts", enter_own_mounts);
/// `in-own-mounts PROPAGATION PROBE`
fn enter_own_mounts(words: Words) -> i32 {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.expect("unshare");
    // Private first: a copy of a shared mount is still a peer of the host's.
    let all = |flags| mount_change("/", flags | MountPropagationFlags::REC).expect("propagation of /");
    all(MountPropagationFlags::PRIVATE);
    if words.text(0) == "shared" {
        all(MountPropagationFlags::SHARED);
    }
    let status = run(words.text(1).as_ref(), Words { rest: &words.rest[2..], ..words });
    println!("checked");
    status
}

pub fn mount_tmpfs(folder: &str) {
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None).expect("mount of a tmpfs");
}
