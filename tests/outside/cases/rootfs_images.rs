//! A file that contains a filesystem as the root.

use crate::support::folder::Folder;
use crate::support::needs::Needs;
use crate::support::processes::wait_until;
use crate::support::roots::{Root, loops_of, make_image, probe_in, start_with_pid};
use std::fs;

const IMAGE: Needs = Needs::ROOT.and(Needs::LOOP);

case!(squashfs, IMAGE | Needs::SQUASHFS_IMAGE | Needs::OVERLAY);
fn squashfs() {
    image("squashfs");
}

case!(erofs, IMAGE | Needs::EROFS_IMAGE | Needs::OVERLAY);
fn erofs() {
    image("erofs");
}

case!(ext2, IMAGE | Needs::BUSYBOX | Needs::OVERLAY);
fn ext2() {
    image("ext2");
}

case!(ext4, IMAGE | Needs::EXT4_IMAGE | Needs::OVERLAY);
fn ext4() {
    image("ext4");
}

fn image(kind: &str) {
    let folder = Folder::new();
    let file = folder.text("an, image: \\");
    let root = Root::with_directories();
    root.0.write("mark", b"inside\n");
    make_image(kind, &root, &file);
    let before = fs::read(&file).expect("read");
    let says = |options: &[&str], words: &[&str]| probe_in(&file, options, words).finish().success();
    assert_eq!(says(&[], &["file", "/mark"]), "inside\n");
    // Writes go to memory by default.
    assert_eq!(says(&[], &["write", "/mark", "/new"]), "ok\nok\n");
    assert_eq!(says(&["--ephemeral=2m"], &["fill", "/new"]).split(' ').next(), Some("ENOSPC"));
    assert_eq!(says(&["--read-only"], &["write", "/mark", "/new"]), "EROFS\nEROFS\n");
    // The loop device is released when the container has ended, or a moment later.
    let (running, _) = start_with_pid(probe_in(&file, &[], &["hold"]));
    assert_eq!(loops_of(&file).len(), 1);
    running.finish().success();
    wait_until("the loop device is free", || loops_of(&file).is_empty());
    assert!(fs::read(&file).expect("read") == before, "the image is unchanged");
    probe_in(&file, &["-v", "/missing-source:/x"], &["status", "0"]).finish().refused(125, &["/missing-source"]);
    wait_until("the loop device is free", || loops_of(&file).is_empty());
}

case!(the_device_goes_when_mydocker_is_killed, IMAGE | Needs::BUSYBOX | Needs::OVERLAY);
fn the_device_goes_when_mydocker_is_killed() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = folder.text("image");
    make_image("ext2", &root, &file);
    for options in [&[][..], &["--read-only"]] {
        let (running, pid) = start_with_pid(probe_in(&file, options, &["hold"]));
        assert_eq!(loops_of(&file).len(), 1);
        running.send(libc::SIGKILL);
        assert!(crate::support::processes::wait_for_end(pid));
        wait_until("the loop device is free", || loops_of(&file).is_empty());
        running.reap();
    }
}

case!(a_file_that_is_no_filesystem, IMAGE);
fn a_file_that_is_no_filesystem() {
    let folder = Folder::new();
    let mut noise = vec![0u8; 200_000];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let mut marked = vec![0u8; 200_000];
    marked[..4].copy_from_slice(b"hsqs");
    for (name, content) in [("empty", &[][..]), ("short", b"x"), ("noise", &noise), ("marked", &marked)] {
        let file = folder.write(name, content);
        for options in [&[][..], &["--read-only"]] {
            probe_in(&file, options, &["status", "0"]).finish().refused(125, &[&file, "no filesystem"]);
            wait_until("the loop device is free", || loops_of(&file).is_empty());
        }
    }
}

case!(what_holds_no_filesystem_that_can_be_mounted, IMAGE);
/// It is named as what it is, with the command that helps.
fn what_holds_no_filesystem_that_can_be_mounted() {
    let folder = Folder::new();
    let with = |at: usize, mark: &[u8]| {
        let mut content = vec![0u8; 100_000];
        content[at..at + mark.len()].copy_from_slice(mark);
        content
    };
    let mut truncated = with(0, b"hsqs");
    truncated[40..48].copy_from_slice(&200_000u64.to_le_bytes());
    for (name, content, words) in [
        ("gzip", with(0, b"\x1f\x8b\x08"), "gunzip"),
        ("xz", with(0, b"\xfd7zXZ\0"), "unxz"),
        ("zstd", with(0, b"\x28\xb5\x2f\xfd"), "unzstd"),
        ("tar", with(257, b"ustar\0"), "tar -xf"),
        ("qcow2", with(0, b"QFI\xfb"), "qemu-img convert"),
        ("mbr", with(510, b"\x55\xaa"), "losetup -P"),
        ("gpt", with(512, b"EFI PART"), "losetup -P"),
        ("truncated", truncated, "end is missing"),
    ] {
        let file = folder.write(name, &content);
        probe_in(&file, &[], &["status", "0"]).finish().refused(125, &[&file, "no filesystem", words]);
        wait_until("the loop device is free", || loops_of(&file).is_empty());
    }
}

case!(a_block_device, IMAGE | Needs::SQUASHFS_IMAGE | Needs::OVERLAY);
fn a_block_device() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = folder.text("image");
    root.0.write("mark", b"inside\n");
    make_image("squashfs", &root, &file);
    let losetup = |words: &[&str]| {
        let output = std::process::Command::new("losetup").args(words).output().expect("losetup");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8").trim().to_string())
    };
    // Another case may take the free one in between.
    let device = loop {
        let (_, device) = losetup(&["-f"]);
        if losetup(&["-r", &device, &file]).0 {
            break device;
        }
    };
    let seen = probe_in(&device, &[], &["file", "/mark"]).finish();
    assert!(losetup(&["-d", &device]).0);
    assert_eq!(seen.success(), "inside\n");
    wait_until("the loop device is free", || loops_of(&file).is_empty());
}

case!(without_nodes_in_dev, IMAGE | Needs::SQUASHFS_IMAGE | Needs::OVERLAY);
/// Where /dev is no devtmpfs it may have no loop devices: they are made, and do not stay.
fn without_nodes_in_dev() {
    crate::probes::own_mounts::in_own_mounts("private", "no-loop-nodes");
}

probe!("no-loop-nodes", |_| {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = folder.text("image");
    root.0.write("mark", b"inside\n");
    make_image("squashfs", &root, &file);
    crate::probes::own_mounts::mount_tmpfs("/dev");
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(rustix::fs::CWD, "/dev/null", rustix::fs::FileType::CharacterDevice, 0o666.into(), null)
        .expect("mknod");
    assert_eq!(probe_in(&file, &[], &["file", "/mark"]).finish().success(), "inside\n");
    probe_in(&file, &[], &["none"]).finish();
    probe_in(&folder.write("none", b"x"), &[], &["status", "0"]).finish().refused(125, &["no filesystem"]);
    let left: Vec<_> = fs::read_dir("/dev").expect("readdir").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["null"]);
});

case!(two_at_once, IMAGE | Needs::EXT4_IMAGE | Needs::OVERLAY);
fn two_at_once() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = folder.text("image");
    make_image("ext4", &root, &file);
    let (one, _) = start_with_pid(probe_in(&file, &[], &["hold"]));
    let (two, _) = start_with_pid(probe_in(&file, &[], &["hold"]));
    one.finish().success();
    two.finish().success();
    wait_until("the loop devices are free", || loops_of(&file).is_empty());
}
